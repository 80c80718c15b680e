//! The four kinds of patches.

use std::sync::Arc;

use serde_json::Value;

use super::{Options, apply, find, replace, scale_of, set_scale, strategic};
use crate::status::{ApiError, Result};
use crate::store::{Key, Store};

/// What the body of a PATCH is, as its content type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchKind {
    pub(crate) fn of(content_type: &str) -> Result<Self> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            other => Err(ApiError::new(
                415,
                "UnsupportedMediaType",
                format!("the body of the request was in an unknown format: {other}"),
            )),
        }
    }
}

/// Patches an object, and says whether that created it.
pub(crate) fn patch(
    store: &mut Store,
    key: &Key,
    kind: PatchKind,
    body: Value,
    subresource: Option<&str>,
    options: &Options,
) -> Result<(Arc<Value>, bool)> {
    if subresource == Some("scale") {
        let mut scale = scale_of(store, key)?;
        change(&mut scale, kind, &body)?;
        return Ok((Arc::new(set_scale(store, key, &scale, options)?), false));
    }
    if kind == PatchKind::Apply {
        return apply::apply(store, key, body, subresource, options);
    }
    let mut object = Value::clone(&*find(store, key)?);
    change(&mut object, kind, &body)?;
    Ok((replace(store, key, object, subresource, options)?, false))
}

fn change(object: &mut Value, kind: PatchKind, body: &Value) -> Result<()> {
    match kind {
        PatchKind::Merge => json_patch::merge(object, body),
        PatchKind::Strategic => strategic::merge(object, body),
        PatchKind::Apply => strategic::overlay(object, body, ""),
        PatchKind::Json => {
            let bad = |error: &dyn std::fmt::Display| ApiError::bad_request(error.to_string());
            let patch: json_patch::Patch =
                serde_json::from_value(body.clone()).map_err(|error| bad(&error))?;
            json_patch::patch(object, &patch).map_err(|error| {
                let message = format!(
                    "the server rejected our request due to an error in our request: {error}"
                );
                ApiError::new(422, "Invalid", message)
            })?;
        }
    }
    Ok(())
}
