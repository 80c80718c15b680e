//! Who owns which field: `metadata.managedFields`.
//!
//! A field is a path of steps as the `FieldsV1` format writes them: `f:name` into a map,
//! `k:{"name":"x"}` to the element of a list with that key, `v:"x"` to a value of a set, and `.`
//! for the element itself.
//! See <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::strategic::{ListKind, list_kind};
use crate::clock;
use crate::object::{items, text};

pub(super) type Path = Vec<String>;
pub(super) type Fields = BTreeSet<Path>;

/// What one writer owns.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) manager: String,
    /// `Apply` or `Update`.
    pub(super) operation: String,
    pub(super) subresource: String,
    pub(super) api_version: String,
    pub(super) time: String,
    pub(super) fields: Fields,
}

impl Owner {
    pub(super) fn new(manager: &str, operation: &str, subresource: &str, object: &Value) -> Self {
        Self {
            manager: manager.to_owned(),
            operation: operation.to_owned(),
            subresource: subresource.to_owned(),
            api_version: text(object, "/apiVersion").to_owned(),
            time: clock::now(),
            fields: Fields::new(),
        }
    }

    pub(super) fn is(&self, manager: &str, operation: &str, subresource: &str) -> bool {
        self.manager == manager && self.operation == operation && self.subresource == subresource
    }
}

/// The owners that an object names.
pub(super) fn owners(object: &Value) -> Vec<Owner> {
    let entries = items(object, "/metadata/managedFields").iter();
    let owner = |entry: &Value| {
        let mut fields = Fields::new();
        read(&entry["fieldsV1"], &mut Path::new(), &mut fields);
        Owner {
            manager: text(entry, "/manager").to_owned(),
            operation: text(entry, "/operation").to_owned(),
            subresource: text(entry, "/subresource").to_owned(),
            api_version: text(entry, "/apiVersion").to_owned(),
            time: text(entry, "/time").to_owned(),
            fields,
        }
    };
    entries.map(owner).collect()
}

/// Writes the owners into an object; who owns nothing is left out.
pub(super) fn set_owners(object: &mut Value, owners: &[Owner]) {
    let owners = owners.iter().filter(|owner| !owner.fields.is_empty());
    let entry = |owner: &Owner| {
        let mut entry = json!({
            "manager": owner.manager, "operation": owner.operation,
            "apiVersion": owner.api_version, "time": owner.time,
            "fieldsType": "FieldsV1", "fieldsV1": write(&owner.fields),
        });
        if !owner.subresource.is_empty() {
            entry["subresource"] = json!(owner.subresource);
        }
        entry
    };
    object["metadata"]["managedFields"] = owners.map(entry).collect();
}

/// Gives what a create, an update or a patch has changed to its writer, and takes it from others.
pub(super) fn own_changes(
    old: Option<&Value>,
    new: &mut Value,
    manager: &str,
    subresource: Option<&str>,
) {
    let before = old.map(|old| of(old, subresource)).unwrap_or_default();
    let after = of(new, subresource);
    let differs = |path: &&Path| {
        old.and_then(|old| value_at(old, path)) != value_at(new, path) || !before.contains(*path)
    };
    let changed: Fields = after.iter().filter(differs).cloned().collect();
    let mut owners = owners(new);
    let manager = if manager.is_empty() {
        "unknown"
    } else {
        manager
    };
    let subresource = subresource.unwrap_or_default();
    for owner in &mut owners {
        let mine = owner.is(manager, "Update", subresource);
        let gone = |path: &Path| before.contains(path) && !after.contains(path);
        let keeps = |path: &Path| !gone(path) && (mine || !changed.contains(path));
        owner.fields.retain(keeps);
    }
    if !changed.is_empty() {
        let own = owners
            .iter_mut()
            .find(|owner| owner.is(manager, "Update", subresource));
        match own {
            Some(owner) => {
                owner.fields.extend(changed);
                owner.time = clock::now();
            }
            None => {
                let mut owner = Owner::new(manager, "Update", subresource, new);
                owner.fields = changed;
                owners.push(owner);
            }
        }
    }
    set_owners(new, &owners);
}

/// The fields of an object that can be owned: of its status, or of all but its status.
pub(super) fn of(object: &Value, subresource: Option<&str>) -> Fields {
    let mut fields = Fields::new();
    collect(object, &mut Path::new(), &mut fields);
    fields.retain(|path| match path.first().map(String::as_str) {
        Some("f:apiVersion" | "f:kind") => false,
        Some("f:status") => subresource == Some("status"),
        Some("f:metadata") => {
            let kept = [
                "f:labels",
                "f:annotations",
                "f:finalizers",
                "f:ownerReferences",
            ];
            let second = path.get(1).map_or("", String::as_str);
            subresource != Some("status") && kept.contains(&second)
        }
        _ => subresource != Some("status"),
    });
    fields
}

fn collect(value: &Value, path: &mut Path, fields: &mut Fields) {
    match value {
        Value::Object(map) if !map.is_empty() && !is_atomic(path) => {
            for (name, value) in map {
                path.push(format!("f:{name}"));
                collect(value, path, fields);
                path.pop();
            }
        }
        Value::Array(list) if !list.is_empty() => collect_list(list, path, fields),
        _ => {
            fields.insert(path.clone());
        }
    }
}

fn collect_list(list: &[Value], path: &mut Path, fields: &mut Fields) {
    let field = path.last().and_then(|last| last.strip_prefix("f:"));
    match list_kind(field.unwrap_or_default(), list) {
        ListKind::Keyed(keys) => {
            for item in list {
                path.push(format!("k:{}", key_of(item, keys)));
                fields.insert([path.as_slice(), &[".".to_owned()]].concat());
                for (name, value) in item.as_object().into_iter().flatten() {
                    path.push(format!("f:{name}"));
                    collect(value, path, fields);
                    path.pop();
                }
                path.pop();
            }
        }
        ListKind::Set => {
            for item in list {
                fields.insert([path.as_slice(), &[format!("v:{item}")]].concat());
            }
        }
        ListKind::Atomic => {
            fields.insert(path.clone());
        }
    }
}

/// Maps that are owned as a whole.
fn is_atomic(path: &[String]) -> bool {
    let atomic = [
        "f:selector",
        "f:nodeSelector",
        "f:fieldRef",
        "f:secretKeyRef",
        "f:configMapKeyRef",
    ];
    // The selector of a Service is an ordinary map, but nobody shares one.
    path.last()
        .is_some_and(|last| atomic.contains(&last.as_str()))
}

/// The key of an element of a list, as a small JSON object.
pub(super) fn key_of(item: &Value, keys: &[&str]) -> Value {
    let mut key = Map::new();
    for name in keys {
        let value = match item.get(*name) {
            None if *name == "protocol" => json!("TCP"),
            other => other.cloned().unwrap_or_default(),
        };
        key.insert((*name).to_owned(), value);
    }
    Value::Object(key)
}

/// The value at a path, if the object has one there.
pub(super) fn value_at<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    let mut value = object;
    for step in path {
        value = match step.split_at_checked(2) {
            Some(("f:", name)) => value.get(name)?,
            Some(("k:", key)) => {
                let at = position(value, &serde_json::from_str(key).ok()?)?;
                &value[at]
            }
            Some(("v:", item)) => {
                let item: Value = serde_json::from_str(item).ok()?;
                value.as_array()?.iter().find(|it| **it == item)?
            }
            // The element itself: that it is there is all that is owned.
            _ => return Some(&Value::Null),
        };
    }
    Some(value)
}

/// Takes away what is at a path.
pub(super) fn remove_at(object: &mut Value, path: &[String]) {
    let Some((last, parents)) = path.split_last() else {
        return;
    };
    // `.` is the element that its parent's step leads to.
    if last == "." {
        return remove_at(object, parents);
    }
    let mut value = object;
    for step in parents {
        let next = match step.split_at_checked(2) {
            Some(("f:", name)) => value.get_mut(name),
            Some(("k:", key)) => {
                let key = serde_json::from_str(key).unwrap_or_default();
                position(value, &key).and_then(|at| value.get_mut(at))
            }
            _ => None,
        };
        let Some(next) = next else { return };
        value = next;
    }
    match (last.split_at_checked(2), value) {
        (Some(("f:", name)), Value::Object(map)) => drop(map.remove(name)),
        (Some(("k:", key)), list) => {
            let key = serde_json::from_str(key).unwrap_or_default();
            let at = position(list, &key);
            if let (Some(at), Some(list)) = (at, list.as_array_mut()) {
                list.remove(at);
            }
        }
        (Some(("v:", item)), Value::Array(list)) => {
            let item: Value = serde_json::from_str(item).unwrap_or_default();
            list.retain(|it| *it != item);
        }
        _ => {}
    }
}

fn position(list: &Value, key: &Value) -> Option<usize> {
    let keys: Vec<&str> = key.as_object()?.keys().map(String::as_str).collect();
    list.as_array()?
        .iter()
        .position(|item| key_of(item, &keys) == *key)
}

fn write(fields: &Fields) -> Value {
    let mut root = json!({});
    for path in fields {
        let mut node = &mut root;
        for step in path {
            node = &mut node[step.as_str()];
            if node.is_null() {
                *node = json!({});
            }
        }
    }
    root
}

fn read(node: &Value, path: &mut Path, fields: &mut Fields) {
    for (step, below) in node.as_object().into_iter().flatten() {
        path.push(step.clone());
        if below.as_object().is_none_or(Map::is_empty) {
            fields.insert(path.clone());
        }
        read(below, path, fields);
        path.pop();
    }
}

/// A path as messages show it: `.spec.containers[name="db"].image`.
pub(super) fn shown(path: &[String]) -> String {
    let mut shown = String::new();
    for step in path {
        match step.split_at_checked(2) {
            Some(("f:", name)) => shown.push_str(&format!(".{name}")),
            Some(("k:", key)) => {
                let key: Value = serde_json::from_str(key).unwrap_or_default();
                let parts = key.as_object().into_iter().flatten();
                let parts: Vec<String> = parts.map(|(k, v)| format!("{k}={v}")).collect();
                shown.push_str(&format!("[{}]", parts.join(",")));
            }
            Some(("v:", item)) => shown.push_str(&format!("[={item}]")),
            _ => {}
        }
    }
    shown
}
