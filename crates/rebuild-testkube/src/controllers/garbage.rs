//! Dependents of what is deleted.
//! See <https://kubernetes.io/docs/concepts/architecture/garbage-collection/>.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{FOREGROUND, ORPHAN};
use crate::object::{self, finalizers, is_deleting, items, map, text, uid};
use crate::store::{Key, Store};
use crate::write::{self, DeleteOptions};

/// Deletes what has lost its owners, and ends deletions that waited for dependents.
pub(super) fn collect(store: &mut Store) {
    let all = store.all();
    let alive: BTreeSet<&str> = all.iter().map(|(_, object)| uid(object)).collect();
    for (key, owner) in all.iter().filter(|(_, object)| is_deleting(object)) {
        let kept_by = finalizers(owner);
        if kept_by.contains(&ORPHAN) {
            for (dependent, _) in dependents(&all, owner) {
                write::modify(store, dependent, |object| disown(object, uid(owner)));
            }
            let release = |object: &mut Value| object::set_finalizer(object, ORPHAN, false);
            write::modify(store, key, release);
        } else if kept_by.contains(&FOREGROUND) {
            let mut waiting = false;
            for (dependent, object) in dependents(&all, owner) {
                waiting = true;
                if !is_deleting(object) {
                    let options = DeleteOptions {
                        propagation: "Foreground".to_owned(),
                        ..DeleteOptions::default()
                    };
                    let _ = write::delete(store, dependent, &options);
                }
            }
            if !waiting {
                let release = |object: &mut Value| object::set_finalizer(object, FOREGROUND, false);
                write::modify(store, key, release);
            }
        }
    }
    for (key, object) in all.iter().filter(|(_, object)| !is_deleting(object)) {
        let owners = items(object, "/metadata/ownerReferences");
        let lost = |owner: &Value| !alive.contains(text(owner, "/uid"));
        if !owners.is_empty() && owners.iter().all(lost) {
            let _ = write::delete(store, key, &DeleteOptions::default());
        }
    }
}

fn dependents<'a>(
    all: &'a [(Key, Arc<Value>)],
    owner: &'a Value,
) -> impl Iterator<Item = &'a (Key, Arc<Value>)> {
    let names = move |it: &Value| text(it, "/uid") == uid(owner);
    all.iter()
        .filter(move |(_, object)| items(object, "/metadata/ownerReferences").iter().any(names))
}

fn disown(object: &mut Value, owner: &str) {
    let owners = items(object, "/metadata/ownerReferences").iter();
    let left: Vec<Value> = owners
        .filter(|it| text(it, "/uid") != owner)
        .cloned()
        .collect();
    if left.is_empty() {
        map(&mut object["metadata"]).remove("ownerReferences");
    } else {
        object["metadata"]["ownerReferences"] = json!(left);
    }
}
