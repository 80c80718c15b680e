//! The methods of buckets.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Storage, Stored};
use crate::call::{Answer, Call, Result};
use crate::clock;
use crate::error::ApiError;
use crate::state::State;

pub(super) fn register(state: &Arc<State>, storage: &Arc<Storage>) {
    let registry = &state.registry;
    registry.on("storage.buckets.insert", storage, insert);
    registry.on("storage.buckets.get", storage, get);
    registry.on("storage.buckets.list", storage, list);
    registry.on("storage.buckets.delete", storage, delete);
}

async fn insert(storage: Arc<Storage>, call: Call) -> Result {
    let name = call.text("/name").to_owned();
    let or = |text: &str, default: &str| {
        let given = if text.is_empty() { default } else { text };
        given.to_uppercase()
    };
    let location = or(call.text("/location"), "US");
    let class = or(call.text("/storageClass"), "STANDARD");
    let mut buckets = storage.all();
    if buckets.contains_key(&name) {
        let said = "The requested bucket name is not available. The bucket namespace is shared by \
                    all users of the system. Please select a different name and try again.";
        return Err(ApiError::new(409, said).status("ALREADY_EXISTS"));
    }
    let bucket = Stored::new(call.query("project"), &location, &class);
    let answer = render(&name, &bucket, &call.server);
    buckets.insert(name, bucket);
    Ok(answer.into())
}

async fn get(storage: Arc<Storage>, call: Call) -> Result {
    storage.with(&call, |name, bucket| {
        Ok(render(name, bucket, &call.server).into())
    })
}

async fn list(storage: Arc<Storage>, call: Call) -> Result {
    let buckets = storage.all();
    let wanted = |(name, bucket): &(&String, &Stored)| {
        bucket.project == call.query("project") && name.starts_with(call.query("prefix"))
    };
    let found = buckets.iter().filter(wanted);
    let items: Vec<Value> = found
        .map(|(name, bucket)| render(name, bucket, &call.server))
        .collect();
    Ok(json!({"kind": "storage#buckets", "items": items}).into())
}

async fn delete(storage: Arc<Storage>, call: Call) -> Result {
    storage.with(&call, |_, bucket| {
        if bucket.objects.is_empty() {
            return Ok(());
        }
        let said = "The bucket you tried to delete is not empty.";
        Err(ApiError::new(409, said))
    })?;
    storage.all().remove(call.param("bucket"));
    Ok(Answer::Nothing)
}

fn render(name: &str, bucket: &Stored, server: &str) -> Value {
    json!({
        "kind": "storage#bucket", "id": name, "name": name, "location": bucket.location,
        "storageClass": bucket.class, "projectNumber": "123456789012",
        "selfLink": format!("{server}/storage/v1/b/{name}"),
        "timeCreated": clock::format(bucket.created), "updated": clock::format(bucket.created),
        "metageneration": "1", "etag": "CAE=",
        "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": true}},
    })
}
