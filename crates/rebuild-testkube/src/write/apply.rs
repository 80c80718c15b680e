//! Server-side apply.
//! See <https://kubernetes.io/docs/reference/using-api/server-side-apply/>.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fields::{self, Fields, Owner};
use super::{Options, carry_over, check_versions, finish, prepare, save, strategic};
use crate::object::{items, map};
use crate::status::{ApiError, Result};
use crate::store::{Key, Store};

/// Applies a configuration, and says whether that created the object.
pub(super) fn apply(
    store: &mut Store,
    key: &Key,
    mut applied: Value,
    subresource: Option<&str>,
    options: &Options,
) -> Result<(Arc<Value>, bool)> {
    if options.manager.is_empty() {
        let message = "fieldManager is required for apply patch";
        return Err(ApiError::bad_request(message));
    }
    if !items(&applied, "/metadata/managedFields").is_empty() {
        let message = "metadata.managedFields must be nil";
        return Err(ApiError::bad_request(message));
    }
    map(&mut applied["metadata"]).remove("managedFields");
    let wanted = fields::of(&applied, subresource);
    let live = store.get(key).cloned();
    let Some(live) = live else {
        if subresource.is_some() {
            return Err(ApiError::not_found(key.resource, &key.name));
        }
        applied["metadata"]["name"] = json!(key.name);
        let (key, mut new) = prepare(store, key.resource, &key.namespace, applied)?;
        let mut owner = Owner::new(&options.manager, "Apply", "", &new);
        owner.fields = wanted;
        fields::set_owners(&mut new, &[owner]);
        return Ok((save(store, key, new, options), true));
    };
    check_versions(key, &live, &applied)?;
    let mut owners = fields::owners(&live);
    settle_conflicts(&mut owners, &live, &applied, &wanted, subresource, options)?;

    let mut new = (*live).clone();
    strategic::overlay(&mut new, &applied, "");
    let part = subresource.unwrap_or_default();
    let own = owners
        .iter()
        .position(|owner| owner.is(&options.manager, "Apply", part));
    let before = own.map(|at| owners.remove(at).fields).unwrap_or_default();
    let given_up = before.difference(&wanted);
    let mut owner = Owner::new(&options.manager, "Apply", part, &live);
    owner.fields = wanted.clone();
    owners.push(owner);
    // What was an empty map before can have got something in it.
    for path in given_up.filter(|path| !is_owned(&owners, path)) {
        fields::remove_at(&mut new, path);
    }
    let mut new = carry_over(key.resource, &live, new, subresource);
    fields::set_owners(&mut new, &owners);
    keep_times(&mut new, &live);
    Ok((finish(store, key, &live, new, options)?, false))
}

/// True if a writer owns the field, or something in it.
fn is_owned(owners: &[Owner], path: &[String]) -> bool {
    let element = path.strip_suffix(&[".".to_owned()]).unwrap_or(path);
    let within = |other: &Vec<String>| other.starts_with(element);
    owners.iter().any(|owner| owner.fields.iter().any(within))
}

/// An apply that changes nothing leaves the object as it is: the time of its owner too.
fn keep_times(new: &mut Value, live: &Value) {
    let mut same = new.clone();
    for entry in same["metadata"]["managedFields"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        let before = items(live, "/metadata/managedFields").iter().find(|old| {
            ["manager", "operation", "subresource", "fieldsV1"]
                .iter()
                .all(|part| old.get(*part) == entry.get(*part))
        });
        if let Some(before) = before {
            entry["time"] = before["time"].clone();
        }
    }
    // Entries may have changed places; their order means nothing.
    let sorted = |object: &Value| {
        let mut entries = items(object, "/metadata/managedFields").to_vec();
        entries.sort_by_key(ToString::to_string);
        entries
    };
    if sorted(&same) == sorted(live) {
        same["metadata"]["managedFields"] = live["metadata"]["managedFields"].clone();
        if same == *live {
            *new = same;
        }
    }
}

/// Fields that others own with another value: an error, or taken from them by force.
fn settle_conflicts(
    owners: &mut [Owner],
    live: &Value,
    applied: &Value,
    wanted: &Fields,
    subresource: Option<&str>,
    options: &Options,
) -> Result<()> {
    let differs =
        |path: &&Vec<String>| fields::value_at(live, path) != fields::value_at(applied, path);
    let mut conflicts = Vec::new();
    for owner in owners {
        if owner.is(&options.manager, "Apply", subresource.unwrap_or_default()) {
            continue;
        }
        let taken: Vec<_> = owner
            .fields
            .intersection(wanted)
            .filter(differs)
            .cloned()
            .collect();
        if options.force {
            owner.fields.retain(|path| !taken.contains(path));
        }
        for path in taken {
            conflicts.push((owner.manager.clone(), owner.api_version.clone(), path));
        }
    }
    if conflicts.is_empty() || options.force {
        return Ok(());
    }
    let with = |(manager, version, _): &(String, String, Vec<String>)| {
        format!("conflict with \"{manager}\" using {version}")
    };
    let lines: Vec<String> = conflicts
        .iter()
        .map(|it| format!("{}: {}", with(it), fields::shown(&it.2)))
        .collect();
    let count = lines.len();
    let plural = if count == 1 { "" } else { "s" };
    let message = format!(
        "Apply failed with {count} conflict{plural}: {}",
        lines.join("\n")
    );
    let causes = conflicts.iter().map(|it| {
        json!({
            "reason": "FieldManagerConflict", "message": with(it), "field": fields::shown(&it.2),
        })
    });
    Err(ApiError::new(409, "Conflict", message).causes(causes.collect()))
}
