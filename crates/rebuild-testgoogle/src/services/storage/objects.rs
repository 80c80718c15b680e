//! The methods of objects.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Storage, Stored, StoredObject, not_found};
use crate::call::{Answer, Call, Media, Result};
use crate::clock;
use crate::error::ApiError;
use crate::state::State;

pub(super) fn register(state: &Arc<State>, storage: &Arc<Storage>) {
    let registry = &state.registry;
    registry.on("storage.objects.insert", storage, insert);
    registry.on("storage.objects.get", storage, get);
    registry.on("storage.objects.list", storage, list);
    registry.on("storage.objects.delete", storage, delete);
}

async fn insert(storage: Arc<Storage>, call: Call) -> Result {
    let mut content = call.media.clone().unwrap_or(Media {
        content_type: "application/octet-stream".to_owned(),
        bytes: bytes::Bytes::new(),
    });
    let name = match call.query("name") {
        "" => call.text("/name"),
        name => name,
    };
    if name.is_empty() {
        return Err(ApiError::new(400, "Required").reason("required"));
    }
    match call.text("/contentType") {
        "" => {}
        kind => kind.clone_into(&mut content.content_type),
    }
    storage.with(&call, |bucket_name, bucket| {
        precondition(&call, bucket.objects.get(name))?;
        let object = bucket.put(name, content, call.body["metadata"].clone());
        Ok(render(bucket_name, name, object, &call.server).into())
    })
}

async fn get(storage: Arc<Storage>, call: Call) -> Result {
    storage.with(&call, |bucket_name, bucket| {
        let name = call.param("object");
        let object = find(bucket_name, bucket, name)?;
        if call.query("alt") == "media" {
            return Ok(Answer::Media(object.content.clone()));
        }
        Ok(render(bucket_name, name, object, &call.server).into())
    })
}

async fn delete(storage: Arc<Storage>, call: Call) -> Result {
    storage.with(&call, |bucket_name, bucket| {
        let name = call.param("object");
        let object = find(bucket_name, bucket, name)?;
        precondition(&call, Some(object))?;
        bucket.objects.remove(name);
        Ok(Answer::Nothing)
    })
}

async fn list(storage: Arc<Storage>, call: Call) -> Result {
    storage.with(&call, |bucket_name, bucket| {
        let (prefix, delimiter) = (call.query("prefix"), call.query("delimiter"));
        let page = call.at_most("maxResults").min(1000);
        let mut prefixes = BTreeSet::new();
        let mut items: Vec<Value> = Vec::new();
        let mut next = None;
        for (name, object) in &bucket.objects {
            // A page starts behind the name that its token is.
            if !name.starts_with(prefix) || name.as_str() <= call.query("pageToken") {
                continue;
            }
            let rest = &name[prefix.len()..];
            let folder = rest.find(delimiter).filter(|_| !delimiter.is_empty());
            if let Some(end) = folder {
                let end = prefix.len() + end + delimiter.len();
                prefixes.insert(name[..end].to_owned());
                continue;
            }
            if items.len() == page {
                next = items.last().map(|last| last["name"].clone());
                break;
            }
            items.push(render(bucket_name, name, object, &call.server));
        }
        let mut answer = json!({"kind": "storage#objects", "items": items});
        if !prefixes.is_empty() {
            answer["prefixes"] = json!(prefixes);
        }
        if let Some(next) = next {
            answer["nextPageToken"] = next;
        }
        Ok(answer.into())
    })
}

fn find<'a>(bucket_name: &str, bucket: &'a Stored, name: &str) -> Result<&'a StoredObject> {
    let object = bucket.objects.get(name);
    object.ok_or_else(|| not_found(&format!("No such object: {bucket_name}/{name}")))
}

/// `ifGenerationMatch`: 0 means that there is none.
fn precondition(call: &Call, object: Option<&StoredObject>) -> Result<()> {
    let Ok(wanted) = call.query("ifGenerationMatch").parse::<i64>() else {
        return Ok(());
    };
    if object.map_or(0, |object| object.generation) == wanted {
        return Ok(());
    }
    let said = "At least one of the pre-conditions you specified did not hold.";
    Err(ApiError::new(412, said))
}

fn render(bucket: &str, name: &str, object: &StoredObject, server: &str) -> Value {
    let generation = object.generation.to_string();
    let escaped: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let link = format!(
        "{server}/storage/v1/b/{bucket}/o/{}",
        escaped.replace('+', "%20")
    );
    let created = clock::format(object.created);
    let mut rendered = json!({
        "kind": "storage#object", "id": format!("{bucket}/{name}/{generation}"),
        "bucket": bucket, "name": name, "generation": generation, "metageneration": "1",
        "contentType": object.content.content_type, "size": object.content.bytes.len().to_string(),
        "storageClass": "STANDARD", "selfLink": link, "timeCreated": created, "updated": created,
        "mediaLink": link.replace("/storage/v1/", "/download/storage/v1/") + "?alt=media",
        "crc32c": STANDARD.encode(crc32c(&object.content.bytes).to_be_bytes()),
        "etag": STANDARD.encode(object.generation.to_be_bytes()),
    });
    if object.metadata.is_object() {
        rendered["metadata"] = object.metadata.clone();
    }
    rendered
}

/// The checksum of Castagnoli, bit by bit: objects of tests are small.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = !0_u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = if sum & 1 == 1 { 0x82f6_3b78 } else { 0 };
            sum = (sum >> 1) ^ carry;
        }
    }
    !sum
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(super::crc32c(b"123456789"), 0xe306_9283);
    }
}
