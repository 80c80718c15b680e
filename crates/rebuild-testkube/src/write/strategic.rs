//! Merges that know which lists are maps in disguise: containers by name, ports by number.
//! See <https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/>.

use serde_json::{Map, Value};

use super::fields::key_of;
use crate::object::map;

/// How a list is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListKind {
    /// Its elements are objects, told apart by these fields.
    Keyed(&'static [&'static str]),
    /// Its elements are values; order and repetition mean nothing.
    Set,
    /// It is replaced as a whole.
    Atomic,
}

/// What a list is, by the name of its field.
pub(super) fn list_kind(field: &str, list: &[Value]) -> ListKind {
    let keys: &'static [&'static str] = match field {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => &["name"],
        "ports" if list.iter().any(|item| item.get("containerPort").is_some()) => {
            &["containerPort", "protocol"]
        }
        "ports" => &["port", "protocol"],
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "conditions" => &["type"],
        "ownerReferences" => &["uid"],
        "finalizers" => return ListKind::Set,
        _ => return ListKind::Atomic,
    };
    if list.iter().all(Value::is_object) {
        ListKind::Keyed(keys)
    } else {
        ListKind::Atomic
    }
}

/// A strategic merge patch.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Some(changes) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if changes.get("$patch").is_some_and(|it| it == "replace") {
        *target = without_directives(changes);
        return;
    }
    let target = map(target);
    if let Some(kept) = changes.get("$retainKeys").and_then(Value::as_array) {
        target.retain(|key, _| kept.iter().any(|it| it == key));
    }
    for (key, change) in changes {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = change.as_array().cloned().unwrap_or_default();
            if let Some(list) = target.get_mut(list).and_then(Value::as_array_mut) {
                list.retain(|item| !gone.contains(item));
            }
        } else if key.starts_with('$') {
            // Orders of elements: they stay as they are, new ones come last.
        } else if change.is_null() {
            target.remove(key);
        } else if let Some(list) = change.as_array() {
            merge_list(target, key, list);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

fn merge_list(target: &mut Map<String, Value>, field: &str, patch: &[Value]) {
    let existing = target.entry(field.to_owned()).or_insert(Value::Null);
    if !existing.is_array() {
        *existing = Value::Array(Vec::new());
    }
    let Some(existing) = existing.as_array_mut() else {
        return;
    };
    if patch.iter().any(|item| item["$patch"] == "replace") {
        existing.clear();
    }
    let sample = [existing.as_slice(), patch].concat();
    match list_kind(field, &sample) {
        ListKind::Atomic => *existing = patch.to_vec(),
        ListKind::Set => add_missing(existing, patch),
        ListKind::Keyed(keys) => {
            // The first field is the key of a strategic merge, also where ownership needs more.
            let keys = &keys[..1];
            for item in patch.iter().filter(|item| item["$patch"] != "replace") {
                let key = key_of(item, keys);
                let at = existing.iter().position(|it| key_of(it, keys) == key);
                match at {
                    Some(at) if item["$patch"] == "delete" => drop(existing.remove(at)),
                    Some(at) => merge(&mut existing[at], item),
                    None if item["$patch"] == "delete" => {}
                    None => {
                        let mut new = Value::Null;
                        merge(&mut new, item);
                        existing.push(new);
                    }
                }
            }
        }
    }
}

fn add_missing(list: &mut Vec<Value>, more: &[Value]) {
    for item in more {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}

fn without_directives(changes: &Map<String, Value>) -> Value {
    let kept = changes.iter().filter(|(key, _)| !key.starts_with('$'));
    Value::Object(kept.map(|(k, v)| (k.clone(), v.clone())).collect())
}

/// Lays an applied configuration over an object: server-side apply's merge.
pub(super) fn overlay(target: &mut Value, applied: &Value, field: &str) {
    match applied {
        Value::Object(changes) if target.is_object() || target.is_null() => {
            let target = map(target);
            for (key, change) in changes {
                overlay(
                    target.entry(key.clone()).or_insert(Value::Null),
                    change,
                    key,
                );
            }
        }
        Value::Array(list) if target.is_array() => {
            let existing = target.as_array_mut().expect("it is an array");
            let sample = [existing.as_slice(), list].concat();
            match list_kind(field, &sample) {
                ListKind::Atomic => *existing = list.clone(),
                ListKind::Set => add_missing(existing, list),
                ListKind::Keyed(keys) => {
                    for item in list {
                        let key = key_of(item, keys);
                        match existing.iter_mut().find(|it| key_of(it, keys) == key) {
                            Some(old) => overlay(old, item, ""),
                            None => existing.push(item.clone()),
                        }
                    }
                }
            }
        }
        _ => *target = applied.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::merge;

    #[test]
    fn containers_are_merged_by_name_and_other_lists_are_replaced() {
        let mut target = json!({"spec": {"containers": [
            {"name": "a", "image": "x:1", "args": ["1", "2"]}, {"name": "b", "image": "y:1"},
        ]}});
        merge(
            &mut target,
            &json!({"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [
                {"name": "a", "args": ["3"]}, {"$patch": "delete", "name": "b"}, {"name": "c"},
            ]}}),
        );
        let expected = json!({"spec": {"containers": [
            {"name": "a", "image": "x:1", "args": ["3"]}, {"name": "c"},
        ]}});
        assert_eq!(target, expected);
    }
}
