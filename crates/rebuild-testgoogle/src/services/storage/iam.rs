//! Who may do what in a bucket.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Storage, Stored};
use crate::call::{Call, Result};
use crate::error::ApiError;
use crate::state::State;

pub(super) fn register(state: &Arc<State>, storage: &Arc<Storage>) {
    let registry = &state.registry;
    registry.on("storage.buckets.getIamPolicy", storage, get);
    registry.on("storage.buckets.setIamPolicy", storage, set);
    registry.on("storage.buckets.testIamPermissions", storage, test);
}

async fn get(storage: Arc<Storage>, call: Call) -> Result {
    storage.with(&call, |name, bucket| Ok(render(name, bucket).into()))
}

async fn set(storage: Arc<Storage>, call: Call) -> Result {
    storage.with(&call, |name, bucket| {
        let etag = call.text("/etag");
        if !etag.is_empty() && etag != self::etag(bucket) {
            let said = "At least one of the pre-conditions you specified did not hold.";
            return Err(ApiError::new(412, said));
        }
        let bindings = call.body["bindings"].as_array();
        bucket.bindings = bindings.cloned().unwrap_or_default();
        bucket.writes += 1;
        Ok(render(name, bucket).into())
    })
}

/// The caller is not one of the bucket's accounts but whoever the test is: it may do all.
async fn test(storage: Arc<Storage>, call: Call) -> Result {
    storage.with(&call, |_, _| {
        let asked = call.query.iter().filter(|(name, _)| name == "permissions");
        let asked: Vec<&str> = asked.map(|(_, value)| value.as_str()).collect();
        Ok(json!({"kind": "storage#testIamPermissionsResponse", "permissions": asked}).into())
    })
}

fn render(name: &str, bucket: &Stored) -> Value {
    json!({
        "kind": "storage#policy", "resourceId": format!("projects/_/buckets/{name}"),
        "version": 1, "etag": etag(bucket), "bindings": bucket.bindings,
    })
}

fn etag(bucket: &Stored) -> String {
    STANDARD.encode(bucket.writes.to_be_bytes())
}

pub(super) fn grant(bindings: &mut Vec<Value>, member: &str, role: &str) {
    bindings.push(json!({"role": role, "members": [member]}));
}

/// True if the bindings let an account do something.
/// <https://cloud.google.com/storage/docs/access-control/iam-roles>
pub(super) fn allows(bindings: &[Value], account: &str, permission: &str) -> bool {
    let roles: &[&str] = match permission {
        "storage.objects.create" => &["objectAdmin", "objectUser", "objectCreator", "admin"],
        "storage.objects.get" => &["objectAdmin", "objectUser", "objectViewer", "admin"],
        _ => &["admin"],
    };
    let member = format!("serviceAccount:{account}");
    bindings.iter().any(|binding| {
        let role = binding["role"].as_str().unwrap_or_default();
        let role = role.strip_prefix("roles/storage.").unwrap_or_default();
        let members = binding["members"].as_array();
        roles.contains(&role) && members.is_some_and(|it| it.iter().any(|one| *one == member))
    })
}
