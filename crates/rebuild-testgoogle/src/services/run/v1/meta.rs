//! What all objects of the older API have: names, metadata, conditions; and lists of them.

use serde_json::{Map, Value, json};

use super::super::names::{part, short};
use crate::call::Call;

/// The region that a call's host names; nothing if it is asked of all.
fn region(call: &Call) -> Option<&str> {
    call.host.split_once("-run.").map(|(region, _)| region)
}

/// What asks for an object, or for all of a kind: `namespaces/p`, at most with `/jobs/j` behind.
pub(super) struct Asked<'a> {
    project: &'a str,
    region: Option<&'a str>,
    id: &'a str,
}

impl<'a> Asked<'a> {
    /// For one object: its name is in the path.
    pub(super) fn one(call: &'a Call) -> Self {
        Self::of(call, "name")
    }

    /// For all of a kind.
    pub(super) fn all(call: &'a Call) -> Self {
        Self::of(call, "parent")
    }

    fn of(call: &'a Call, parameter: &str) -> Self {
        let name = call.param(parameter);
        Self {
            project: part(name, "namespaces"),
            region: region(call),
            id: short(name),
        }
    }

    /// True if something with this full name, such as `projects/p/locations/l/jobs/j`, is in the
    /// place that was asked for.
    pub(super) fn covers(&self, name: &str) -> bool {
        let here = self.region.is_none_or(|it| it == part(name, "locations"));
        here && part(name, "projects") == self.project
    }

    /// True if it is the object that was asked for.
    pub(super) fn is(&self, name: &str) -> bool {
        self.covers(name) && short(name) == self.id
    }
}

/// `metadata` of something with these fields of the newer API, and more labels and annotations.
pub(super) fn metadata(value: &Value, labels: &[(&str, &str)], annotations: Value) -> Value {
    let name = value["name"].as_str().unwrap_or_default();
    let mut all = value["labels"].as_object().cloned().unwrap_or_default();
    let region = ("cloud.googleapis.com/location", part(name, "locations"));
    all.extend(
        [region]
            .iter()
            .chain(labels)
            .map(|(name, value)| ((*name).to_owned(), json!(value))),
    );
    let mut own = value["annotations"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    own.extend(annotations.as_object().cloned().unwrap_or_default());
    with(
        json!({
            "name": short(name), "namespace": part(name, "projects"), "labels": all, "annotations": own,
        }),
        [
            ("uid", &value["uid"]),
            ("creationTimestamp", &value["createTime"]),
            ("resourceVersion", &value["etag"]),
            ("generation", &number(&value["generation"])),
        ],
    )
}

/// The object with those fields that are something.
pub(super) fn with<'a>(
    mut object: Value,
    fields: impl IntoIterator<Item = (&'a str, &'a Value)>,
) -> Value {
    for (name, value) in fields {
        if !value.is_null() {
            object[name] = value.clone();
        }
    }
    object
}

/// A number of 64 bits, which is text in JSON, as a number of 32.
pub(super) fn number(text: &Value) -> Value {
    let number = text.as_str().and_then(|text| text.parse::<i32>().ok());
    json!(number)
}

/// Seconds such as `600s` as a number.
pub(super) fn seconds(duration: &Value) -> Option<i64> {
    let text = duration.as_str()?.strip_suffix('s')?;
    text.parse().ok()
}

/// Conditions; what has not ended yet is `Unknown`.
pub(super) fn conditions<'a>(all: impl IntoIterator<Item = &'a Value>) -> Value {
    all.into_iter().map(condition).collect()
}

fn condition(it: &Value) -> Value {
    let status = match it["state"].as_str() {
        Some("CONDITION_SUCCEEDED") => "True",
        Some("CONDITION_FAILED") => "False",
        _ => "Unknown",
    };
    let reason = ["reason", "executionReason", "revisionReason"];
    let reason = reason.iter().find_map(|name| it[name].as_str());
    let reason = reason.map(in_one_word);
    with(
        json!({"type": it["type"], "status": status}),
        [
            ("message", &it["message"]),
            ("lastTransitionTime", &it["lastTransitionTime"]),
            ("reason", &json!(reason)),
        ],
    )
}

/// `NON_ZERO_EXIT_CODE` as the older API spells it: `NonZeroExitCode`.
fn in_one_word(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{first}{}", rest.to_lowercase())
    });
    words.collect()
}

/// One page of a list of objects, of those that have the labels that are asked for.
pub(super) fn list(call: &Call, kind: &str, all: impl IntoIterator<Item = Value>) -> Value {
    let selector = call.query("labelSelector");
    let wanted: Vec<(&str, &str)> = selector
        .split(',')
        .filter_map(|one| one.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let fits = |item: &Value| {
        let labels = &item["metadata"]["labels"];
        wanted.iter().all(|(name, value)| labels[*name] == **value)
    };
    let all: Vec<Value> = all.into_iter().filter(fits).collect();
    let from: usize = call.query("continue").parse().unwrap_or(0);
    let next = from.saturating_add(call.at_most("limit"));
    let mut metadata = Map::new();
    if next < all.len() {
        metadata.insert("continue".to_owned(), next.to_string().into());
    }
    let items: Vec<Value> = all
        .into_iter()
        .skip(from)
        .take(call.at_most("limit"))
        .collect();
    json!({"kind": kind, "metadata": metadata, "items": items})
}
