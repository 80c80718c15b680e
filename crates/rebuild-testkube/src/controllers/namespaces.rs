//! Namespaces: what each of them has, and how they are emptied.

use serde_json::json;

use crate::object::{is_deleting, map, name};
use crate::resources::{self, CONFIGMAPS, NAMESPACES, SERVICE_ACCOUNTS};
use crate::store::{Key, Store};
use crate::write::{self, DeleteOptions, Options};

/// Gives each namespace its ServiceAccount, and takes everything from those that are deleted.
pub(super) fn reconcile(store: &mut Store) {
    for namespace in store.snapshot(&NAMESPACES, None) {
        if is_deleting(&namespace) {
            empty(store, name(&namespace));
        } else {
            furnish(store, name(&namespace));
        }
    }
}

fn furnish(store: &mut Store, namespace: &str) {
    let account = json!({"metadata": {"name": "default"}});
    let authority = json!({"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": ""}});
    for (resource, object) in [(&SERVICE_ACCOUNTS, account), (&CONFIGMAPS, authority)] {
        let key = Key::new(resource, namespace, name(&object));
        if store.get(&key).is_none() {
            // Refused only if the namespace goes at this moment.
            let _ = write::create(store, resource, namespace, object, &Options::default());
        }
    }
}

fn empty(store: &mut Store, namespace: &str) {
    let mut left = false;
    for resource in resources::ALL.iter().filter(|resource| resource.namespaced) {
        for object in store.snapshot(resource, Some(namespace)) {
            left = true;
            if !is_deleting(&object) {
                let key = Key::of(resource, &object);
                let _ = write::delete(store, &key, &DeleteOptions::default());
            }
        }
    }
    if !left {
        let key = Key::new(&NAMESPACES, "", namespace);
        write::modify(store, &key, |namespace| {
            map(&mut namespace["spec"]).remove("finalizers");
        });
    }
}
