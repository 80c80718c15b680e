//! Lists, whole or page by page.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Query, Target};
use crate::object::text;
use crate::selector::Selector;
use crate::state::State;
use crate::status::{ApiError, Result};
use crate::store::Key;

/// The list that a request asks for.
pub(super) fn list(state: &State, target: &Target, query: &Query) -> Result<Value> {
    let selector = selector(target, query)?;
    let store = state.store();
    let mut version = store.version();
    let mut matching: Vec<(&Key, &Arc<Value>)> = store
        .list(target.resource, target.namespace.as_deref())
        .filter(|(_, object)| selector.matches(object))
        .collect();
    if let Some((of_version, namespace, name)) = continued(query)? {
        if of_version <= store.forgotten() {
            return Err(ApiError::expired(
                "The provided continue parameter is too old to display a consistent list result.",
            ));
        }
        version = of_version;
        matching.retain(|(key, _)| {
            (key.namespace.as_str(), key.name.as_str()) > (namespace.as_str(), name.as_str())
        });
    }
    let mut metadata = json!({"resourceVersion": version.to_string()});
    let limit = query
        .number("limit")
        .and_then(|it| usize::try_from(it).ok());
    if let Some(limit) = limit.filter(|limit| (1..matching.len()).contains(limit)) {
        metadata["remainingItemCount"] = json!(matching.len() - limit);
        matching.truncate(limit);
        if let Some((last, _)) = matching.last() {
            let token = json!({"v": version, "ns": last.namespace, "n": last.name});
            metadata["continue"] = json!(URL_SAFE_NO_PAD.encode(token.to_string()));
        }
    }
    let items: Vec<&Value> = matching.iter().map(|(_, object)| &***object).collect();
    Ok(json!({
        "kind": format!("{}List", target.resource.kind),
        "apiVersion": target.resource.api_version(), "metadata": metadata, "items": items,
    }))
}

/// The labels and fields that a request selects by. A name in the path selects it too.
pub(super) fn selector(target: &Target, query: &Query) -> Result<Selector> {
    let mut fields = query.get("fieldSelector").to_owned();
    if let Some(name) = &target.name {
        fields = format!("{fields},metadata.name={name}");
    }
    Selector::parse(target.resource, query.get("labelSelector"), &fields)
}

fn continued(query: &Query) -> Result<Option<(u64, String, String)>> {
    let token = query.get("continue");
    if token.is_empty() {
        return Ok(None);
    }
    let bad = || ApiError::bad_request("continue key is not valid");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| bad())?;
    let token: Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    let version = token["v"].as_u64().ok_or_else(bad)?;
    Ok(Some((
        version,
        text(&token, "/ns").to_owned(),
        text(&token, "/n").to_owned(),
    )))
}
