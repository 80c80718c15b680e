//! What a request to write does: admission, versions, generations, owners of fields.

mod apply;
mod defaults;
mod deletion;
mod fields;
mod patch;
mod ports;
mod rules;
mod scale;
mod strategic;

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) use self::deletion::{DeleteOptions, delete};
pub(crate) use self::patch::{PatchKind, patch};
pub(crate) use self::scale::{scale_of, set_scale};
use crate::object::{self, map, name, text};
use crate::resources::{CLAIMS, JOBS, NAMESPACES, PODS, Resource, VOLUMES};
use crate::status::{ApiError, Result};
use crate::store::{Key, Store};
use crate::{clock, resources};

/// Keeps a claim while a pod uses it.
pub(crate) const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";
/// Keeps a volume while a claim is bound to it.
pub(crate) const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";

/// How something is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Everything is checked and nothing stored.
    pub(crate) dry_run: bool,
    /// Who owns the fields that are set.
    pub(crate) manager: String,
    /// An apply takes fields away from their owners.
    pub(crate) force: bool,
}

/// Creates an object, and gives it as it is stored.
pub(crate) fn create(
    store: &mut Store,
    resource: &'static Resource,
    namespace: &str,
    new: Value,
    options: &Options,
) -> Result<Arc<Value>> {
    let (key, mut new) = prepare(store, resource, namespace, new)?;
    fields::own_changes(None, &mut new, &options.manager, None);
    Ok(save(store, key, new, options))
}

/// A new object as it would be stored, without owners of its fields.
fn prepare(
    store: &Store,
    resource: &'static Resource,
    namespace: &str,
    mut new: Value,
) -> Result<(Key, Value)> {
    identify(resource, namespace, &mut new)?;
    let key = Key::of(resource, &new);
    rules::check_name(resource, &key.name)?;
    if resource.namespaced {
        check_namespace(store, &key)?;
    }
    if store.get(&key).is_some() {
        return Err(ApiError::already_exists(resource, &key.name));
    }
    let metadata = map(&mut new["metadata"]);
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "resourceVersion",
        "managedFields",
    ] {
        metadata.remove(field);
    }
    metadata.insert("uid".into(), json!(Uuid::new_v4().to_string()));
    metadata.insert("creationTimestamp".into(), json!(clock::now()));
    if resource.subresources.contains(&"status") {
        map(&mut new).remove("status");
    }
    if new.get("spec").is_some() {
        new["metadata"]["generation"] = json!(1);
    }
    admit(store, resource, &mut new);
    ports::allocate(store, resource, &mut new)?;
    rules::check_new(resource, &new)?;
    Ok((key, new))
}

/// Puts an object in the place of one that is there; with a subresource only that part of it.
pub(crate) fn replace(
    store: &mut Store,
    key: &Key,
    new: Value,
    subresource: Option<&str>,
    options: &Options,
) -> Result<Arc<Value>> {
    let old = find(store, key)?;
    let mut new = new;
    identify(key.resource, &key.namespace, &mut new)?;
    if name(&new) != key.name {
        let message = "the name of the object does not match the name on the URL";
        return Err(ApiError::bad_request(message));
    }
    check_versions(key, &old, &new)?;
    rules::check_version_given(key.resource, &new)?;
    let mut new = carry_over(key.resource, &old, new, subresource);
    fields::own_changes(Some(&old), &mut new, &options.manager, subresource);
    finish(store, key, &old, new, options)
}

/// The end of every change: rules, defaults, generation, and removal of what was only waiting for
/// its finalizers.
fn finish(
    store: &mut Store,
    key: &Key,
    old: &Value,
    mut new: Value,
    options: &Options,
) -> Result<Arc<Value>> {
    defaults::fill(key.resource, &mut new);
    ports::allocate(store, key.resource, &mut new)?;
    rules::check_change(key.resource, old, &new)?;
    if new.get("spec") != old.get("spec") {
        let generation = object::number(old, "/metadata/generation").unwrap_or(0);
        new["metadata"]["generation"] = json!(generation + 1);
    }
    if options.dry_run {
        return Ok(Arc::new(new));
    }
    Ok(commit(store, key, new))
}

/// Stores a changed object, or removes it if nothing keeps it any more.
pub(crate) fn commit(store: &mut Store, key: &Key, new: Value) -> Arc<Value> {
    let gone = object::is_deleting(&new)
        && object::finalizers(&new).is_empty()
        && object::items(&new, "/spec/finalizers").is_empty()
        && object::number(&new, "/metadata/deletionGracePeriodSeconds").unwrap_or(0) == 0;
    let stored = store.put(key.clone(), new);
    if gone {
        return store.remove(key).unwrap_or(stored);
    }
    stored
}

/// Changes an object as the cluster's own controllers do: no rules, no owners of fields.
/// Nothing happens if it is not there.
pub(crate) fn modify(store: &mut Store, key: &Key, change: impl FnOnce(&mut Value)) {
    if let Some(old) = store.get(key).cloned() {
        let mut new = (*old).clone();
        change(&mut new);
        if new != *old {
            if new.get("spec") != old.get("spec") {
                let generation = object::number(&old, "/metadata/generation").unwrap_or(0);
                new["metadata"]["generation"] = json!(generation + 1);
            }
            commit(store, key, new);
        }
    }
}

pub(crate) fn find(store: &Store, key: &Key) -> Result<Arc<Value>> {
    let found = store.get(key).cloned();
    found.ok_or_else(|| ApiError::not_found(key.resource, &key.name))
}

fn save(store: &mut Store, key: Key, new: Value, options: &Options) -> Arc<Value> {
    if options.dry_run {
        Arc::new(new)
    } else {
        store.put(key, new)
    }
}

/// Checks that the body is of the kind and in the namespace of the URL, and says so in it.
fn identify(resource: &Resource, namespace: &str, new: &mut Value) -> Result<()> {
    if !new.is_object() {
        return Err(ApiError::bad_request(
            "the body of the request is no object",
        ));
    }
    let (version, kind) = (text(new, "/apiVersion"), text(new, "/kind"));
    let fits = |found: &str, wanted: &str| found.is_empty() || found == wanted;
    if !fits(version, &resource.api_version()) || !fits(kind, resource.kind) {
        let message = format!(
            "{kind} in version \"{version}\" cannot be handled as a {}: no kind \"{kind}\" is \
             registered for it",
            resource.kind
        );
        return Err(ApiError::bad_request(message));
    }
    new["apiVersion"] = json!(resource.api_version());
    new["kind"] = json!(resource.kind);
    let metadata = map(&mut new["metadata"]);
    if metadata
        .get("name")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        let prefix = metadata.get("generateName").and_then(Value::as_str);
        let Some(prefix) = prefix else {
            let why = "Required value: name or generateName is required";
            return Err(ApiError::invalid(resource, "", "metadata.name", why));
        };
        let suffix = &Uuid::new_v4().simple().to_string()[..5];
        metadata.insert("name".into(), json!(format!("{prefix}{suffix}")));
    }
    if !resource.namespaced {
        metadata.remove("namespace");
        return Ok(());
    }
    let own = metadata.get("namespace").and_then(Value::as_str);
    if own.is_some_and(|own| !own.is_empty() && own != namespace) {
        let message = "the namespace of the provided object does not match the namespace sent on \
                       the request";
        return Err(ApiError::bad_request(message));
    }
    metadata.insert("namespace".into(), json!(namespace));
    Ok(())
}

fn check_namespace(store: &Store, key: &Key) -> Result<()> {
    let home = Key::new(&NAMESPACES, "", &key.namespace);
    let home = find(store, &home)?;
    if object::is_deleting(&home) {
        let why = format!(
            "unable to create new content in namespace {} because it is being terminated",
            key.namespace
        );
        let error = ApiError::forbidden(key.resource, &key.name, &why);
        let cause = json!({"reason": "NamespaceTerminating", "message": why, "field": "metadata.namespace"});
        return Err(error.causes(vec![cause]));
    }
    Ok(())
}

fn check_versions(key: &Key, old: &Value, new: &Value) -> Result<()> {
    let version = text(new, "/metadata/resourceVersion");
    if !version.is_empty() && version != text(old, "/metadata/resourceVersion") {
        return Err(ApiError::modified(key.resource, &key.name));
    }
    let uid = object::uid(new);
    if !uid.is_empty() && uid != object::uid(old) {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            object::uid(old)
        );
        return Err(ApiError::conflict(key.resource, &key.name, &why));
    }
    Ok(())
}

/// The new object with all that a writer cannot change taken from the old one.
fn carry_over(
    resource: &Resource,
    old: &Value,
    mut new: Value,
    subresource: Option<&str>,
) -> Value {
    if subresource == Some("status") {
        let mut whole = old.clone();
        match new.get("status") {
            Some(status) => whole["status"] = status.clone(),
            None => drop(map(&mut whole).remove("status")),
        }
        return whole;
    }
    if resource.subresources.contains(&"status") {
        match old.get("status") {
            Some(status) => new["status"] = status.clone(),
            None => drop(map(&mut new).remove("status")),
        }
    }
    if subresource == Some("finalize") {
        let mut whole = old.clone();
        whole["spec"]["finalizers"] = new["spec"]["finalizers"].clone();
        return whole;
    }
    let metadata = map(&mut new["metadata"]);
    for field in [
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
        "managedFields",
        "resourceVersion",
    ] {
        match old["metadata"].get(field) {
            Some(value) => metadata.insert(field.into(), value.clone()),
            None => metadata.remove(field),
        };
    }
    new
}

/// What the server adds to a new object by itself.
fn admit(store: &Store, resource: &'static Resource, new: &mut Value) {
    if resource == &CLAIMS && new["spec"].get("storageClassName").is_none() {
        let classes = store.list(&resources::STORAGE_CLASSES, None);
        let default = classes.map(|(_, class)| class).find(|class| {
            class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"]
                == "true"
        });
        if let Some(class) = default {
            new["spec"]["storageClassName"] = class["metadata"]["name"].clone();
        }
    }
    if resource == &JOBS && !object::flag(new, "/spec/manualSelector") {
        label_job(new);
    }
    defaults::fill(resource, new);
    if resource == &CLAIMS {
        object::set_finalizer(new, CLAIM_PROTECTION, true);
    } else if resource == &VOLUMES {
        object::set_finalizer(new, VOLUME_PROTECTION, true);
    } else if resource == &NAMESPACES {
        new["spec"]["finalizers"] = json!(["kubernetes"]);
        new["status"] = json!({"phase": "Active"});
        new["metadata"]["labels"]["kubernetes.io/metadata.name"] = new["metadata"]["name"].clone();
    } else if resource == &PODS {
        new["status"] = json!({"phase": "Pending", "qosClass": "BestEffort"});
    }
}

/// A job finds its pods by its own uid.
fn label_job(job: &mut Value) {
    let (uid, name) = (
        job["metadata"]["uid"].clone(),
        job["metadata"]["name"].clone(),
    );
    job["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    let labels = &mut job["spec"]["template"]["metadata"]["labels"];
    for prefix in ["batch.kubernetes.io/", ""] {
        labels[format!("{prefix}controller-uid")] = uid.clone();
        labels[format!("{prefix}job-name")] = name.clone();
    }
}
