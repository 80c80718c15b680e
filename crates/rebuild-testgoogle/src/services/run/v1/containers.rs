//! Containers and volumes, from one form to the other.

use serde_json::{Value, json};

use super::meta::with;
use crate::call::Result;
use crate::error::ApiError;

/// The fields that both forms have, and mean the same by.
const SAME: [&str; 9] = [
    "name",
    "image",
    "command",
    "args",
    "ports",
    "workingDir",
    "volumeMounts",
    "startupProbe",
    "livenessProbe",
];

/// Containers in the older form.
pub(super) fn older(containers: &Value) -> Value {
    let older = |container: &Value| {
        let env = map(&container["env"], |one| {
            let secret = &one["valueSource"]["secretKeyRef"];
            match secret.is_null() {
                true => one.clone(),
                false => json!({"name": one["name"], "valueFrom": {"secretKeyRef": {
                    "name": secret["secret"], "key": secret["version"],
                }}}),
            }
        });
        let limits = &container["resources"]["limits"];
        let resources = if limits.is_null() {
            Value::Null
        } else {
            json!({ "limits": limits })
        };
        with(same(container), [("env", &env), ("resources", &resources)])
    };
    map(containers, older)
}

/// Containers in the newer form.
///
/// # Errors
/// Something in them has no such form here.
pub(super) fn newer(containers: &Value) -> Result<Value> {
    known(containers, &[&SAME[..], &["env", "resources"]].concat())?;
    let newer = |container: &Value| {
        let env = map(&container["env"], |one| {
            let secret = &one["valueFrom"]["secretKeyRef"];
            match secret.is_null() {
                true => one.clone(),
                false => json!({"name": one["name"], "valueSource": {"secretKeyRef": {
                    "secret": secret["name"], "version": secret["key"],
                }}}),
            }
        });
        with(
            same(container),
            [("env", &env), ("resources", &container["resources"])],
        )
    };
    Ok(map(containers, newer))
}

/// Volumes in the older form, but for those of Cloud SQL, which are an annotation there.
pub(super) fn older_volumes(volumes: &Value) -> Value {
    let all = volumes.as_array().into_iter().flatten();
    let all = all.filter(|volume| volume["cloudSqlInstance"].is_null());
    let all: Vec<Value> = all.map(older_volume).collect();
    if all.is_empty() {
        Value::Null
    } else {
        all.into()
    }
}

fn older_volume(volume: &Value) -> Value {
    let secret = &volume["secret"];
    if secret.is_null() {
        return volume.clone();
    }
    let items = map(&secret["items"], |item| {
        let key = json!({"key": item["version"], "path": item["path"]});
        with(key, [("mode", &item["mode"])])
    });
    let older = with(
        json!({"secretName": secret["secret"]}),
        [("items", &items), ("defaultMode", &secret["defaultMode"])],
    );
    json!({"name": volume["name"], "secret": older})
}

/// Volumes in the newer form.
///
/// # Errors
/// One is neither a secret nor an empty folder.
pub(super) fn newer_volumes(volumes: &Value) -> Result<Vec<Value>> {
    known(volumes, &["name", "secret", "emptyDir"])?;
    let newer = |volume: &Value| {
        let secret = &volume["secret"];
        if secret.is_null() {
            return volume.clone();
        }
        let items = map(&secret["items"], |item| {
            let version = json!({"version": item["key"], "path": item["path"]});
            with(version, [("mode", &item["mode"])])
        });
        let newer = with(
            json!({"secret": secret["secretName"]}),
            [("items", &items), ("defaultMode", &secret["defaultMode"])],
        );
        json!({"name": volume["name"], "secret": newer})
    };
    let all = volumes.as_array().into_iter().flatten();
    Ok(all.map(newer).collect())
}

fn same(container: &Value) -> Value {
    with(
        json!({}),
        SAME.iter().map(|name| (*name, &container[*name])),
    )
}

/// The list with each of its elements changed; null where there is none.
fn map(list: &Value, change: impl Fn(&Value) -> Value) -> Value {
    match list.as_array() {
        Some(all) => all.iter().map(change).collect(),
        None => Value::Null,
    }
}

/// Nothing is lost without a word.
fn known(list: &Value, fields: &[&str]) -> Result<()> {
    let objects = list.as_array().into_iter().flatten();
    let mut names = objects
        .filter_map(Value::as_object)
        .flat_map(|it| it.keys());
    match names.find(|name| !fields.contains(&name.as_str())) {
        Some(name) => {
            let said = format!("{name} is not known here; known are {}", fields.join(", "));
            Err(ApiError::new(501, said))
        }
        None => Ok(()),
    }
}
