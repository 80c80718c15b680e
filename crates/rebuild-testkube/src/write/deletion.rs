//! Deletion: preconditions, grace, propagation and finalizers.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{commit, find};
use crate::object::{self, is_deleting, number, text};
use crate::resources::{NAMESPACES, PODS};
use crate::status::{ApiError, Result};
use crate::store::{Key, Store};
use crate::{clock, controllers};

/// What a DELETE asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace: Option<i64>,
    /// `Foreground`, `Background` or `Orphan`; empty means the default, which is `Background`.
    pub(crate) propagation: String,
    pub(crate) uid: String,
    pub(crate) version: String,
    pub(crate) dry_run: bool,
}

impl DeleteOptions {
    /// From the body of a request and the parameters that can stand for it.
    pub(crate) fn parse(body: &Value, query: impl Fn(&str) -> String) -> Self {
        let pick = |pointer: &str, parameter: &str| {
            let own = text(body, pointer).to_owned();
            if own.is_empty() {
                query(parameter)
            } else {
                own
            }
        };
        let mut propagation = pick("/propagationPolicy", "propagationPolicy");
        if object::flag(body, "/orphanDependents") {
            propagation = "Orphan".to_owned();
        }
        let grace = number(body, "/gracePeriodSeconds");
        Self {
            grace: grace.or_else(|| query("gracePeriodSeconds").parse().ok()),
            propagation,
            uid: text(body, "/preconditions/uid").to_owned(),
            version: text(body, "/preconditions/resourceVersion").to_owned(),
            dry_run: !query("dryRun").is_empty() || !object::items(body, "/dryRun").is_empty(),
        }
    }
}

/// Deletes an object, or marks it for deletion. Gives it as it was last, and whether it is gone.
pub(crate) fn delete(
    store: &mut Store,
    key: &Key,
    options: &DeleteOptions,
) -> Result<(Arc<Value>, bool)> {
    let old = find(store, key)?;
    check(key, &old, options)?;
    if options.dry_run {
        return Ok((old, true));
    }
    let mut new = (*old).clone();
    if !is_deleting(&new) {
        mark(key, &mut new, options);
    } else if key.resource == &PODS
        && let Some(grace) = options.grace
        && grace < number(&new, "/metadata/deletionGracePeriodSeconds").unwrap_or(0)
    {
        new["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        new["metadata"]["deletionTimestamp"] = json!(after(grace));
    }
    let uid = object::uid(&new).to_owned();
    let stored = commit(store, key, new);
    let gone = store.get(key).is_none_or(|now| object::uid(now) != uid);
    Ok((stored, gone))
}

fn check(key: &Key, old: &Value, options: &DeleteOptions) -> Result<()> {
    let differs = |wanted: &str, found: &str| !wanted.is_empty() && wanted != found;
    if differs(&options.uid, object::uid(old)) {
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            options.uid,
            object::uid(old)
        );
        return Err(ApiError::conflict(key.resource, &key.name, &why));
    }
    let version = text(old, "/metadata/resourceVersion");
    if differs(&options.version, version) {
        let why = format!(
            "Precondition failed: ResourceVersion in precondition: {}, ResourceVersion in object \
             meta: {version}",
            options.version
        );
        return Err(ApiError::conflict(key.resource, &key.name, &why));
    }
    Ok(())
}

fn mark(key: &Key, object: &mut Value, options: &DeleteOptions) {
    match options.propagation.as_str() {
        "Foreground" => object::set_finalizer(object, controllers::FOREGROUND, true),
        "Orphan" => object::set_finalizer(object, controllers::ORPHAN, true),
        _ => {}
    }
    let mut grace = 0;
    if key.resource == &PODS {
        let ended = matches!(text(object, "/status/phase"), "Succeeded" | "Failed");
        // Only what runs needs time to end.
        if !ended && !text(object, "/spec/nodeName").is_empty() {
            let own = number(object, "/spec/terminationGracePeriodSeconds");
            grace = options.grace.or(own).unwrap_or(30).max(0);
        }
    }
    if key.resource == &NAMESPACES {
        object["status"]["phase"] = json!("Terminating");
    }
    object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
    object["metadata"]["deletionTimestamp"] = json!(after(grace));
}

fn after(seconds: i64) -> String {
    clock::format(Timestamp::now() + SignedDuration::from_secs(seconds))
}
