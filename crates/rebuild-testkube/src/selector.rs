//! Which objects a list, a watch or a controller means.

use serde_json::Value;

use crate::object::{items, text};
use crate::resources::Resource;
use crate::status::{ApiError, Result};

/// Conditions on labels and fields that all must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Debug, Clone)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl Selector {
    /// From the two parameters of a request.
    pub(crate) fn parse(resource: &Resource, labels: &str, fields: &str) -> Result<Self> {
        Ok(Self {
            labels: parse_labels(labels)?,
            fields: parse_fields(resource, fields)?,
        })
    }

    /// From the `selector` of a workload: a LabelSelector object. One that is empty selects all.
    pub(crate) fn of_object(selector: &Value) -> Self {
        let mut labels = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_owned();
            labels.push(Requirement::In(key.clone(), vec![value]));
        }
        for expression in items(selector, "/matchExpressions") {
            let key = text(expression, "/key").to_owned();
            let values = items(expression, "/values").iter();
            let values = values.filter_map(Value::as_str).map(str::to_owned);
            let values = values.collect();
            labels.push(match text(expression, "/operator") {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "DoesNotExist" => Requirement::Missing(key),
                _ => Requirement::Exists(key),
            });
        }
        Self {
            labels,
            fields: Vec::new(),
        }
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str();
        self.labels.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => {
                label(key).is_some_and(|value| values.iter().any(|it| it == value))
            }
            Requirement::NotIn(key, values) => {
                label(key).is_none_or(|value| values.iter().all(|it| it != value))
            }
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Missing(key) => label(key).is_none(),
        }) && self
            .fields
            .iter()
            .all(|(path, equal, wanted)| (field(object, path) == *wanted) == *equal)
    }
}

fn field(object: &Value, path: &str) -> String {
    match object.pointer(&format!("/{}", path.replace('.', "/"))) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>> {
    split_outside_parentheses(text)
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let bad = || ApiError::bad_request(format!("unable to parse requirement: \"{part}\""));
            let pair =
                |(key, value): (&str, &str)| (key.trim().to_owned(), value.trim().to_owned());
            if let Some((key, value)) = part.split_once("!=").map(pair) {
                return Ok(Requirement::NotIn(key, vec![value]));
            }
            let equal = part.split_once("==").or_else(|| part.split_once('='));
            if let Some((key, value)) = equal.map(pair) {
                return Ok(Requirement::In(key, vec![value]));
            }
            let set = |list: &str| -> Result<Vec<String>> {
                let inner = list
                    .trim()
                    .strip_prefix('(')
                    .and_then(|it| it.strip_suffix(')'));
                let inner = inner.ok_or_else(bad)?;
                Ok(inner.split(',').map(|it| it.trim().to_owned()).collect())
            };
            if let Some((key, list)) = part.split_once(" notin ") {
                return Ok(Requirement::NotIn(key.trim().to_owned(), set(list)?));
            }
            if let Some((key, list)) = part.split_once(" in ") {
                return Ok(Requirement::In(key.trim().to_owned(), set(list)?));
            }
            if part.contains([' ', '(', ')']) {
                return Err(bad());
            }
            Ok(match part.strip_prefix('!') {
                Some(key) => Requirement::Missing(key.to_owned()),
                None => Requirement::Exists(part.to_owned()),
            })
        })
        .collect()
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_fields(resource: &Resource, text: &str) -> Result<Vec<(String, bool, String)>> {
    text.split(',')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (path, equal, value) = if let Some((path, value)) = part.split_once("!=") {
                (path, false, value)
            } else if let Some((path, value)) = part.split_once("==") {
                (path, true, value)
            } else if let Some((path, value)) = part.split_once('=') {
                (path, true, value)
            } else {
                return Err(ApiError::bad_request(format!(
                    "invalid field selector: {part}"
                )));
            };
            if !is_field(resource, path) {
                return Err(ApiError::bad_request(format!(
                    "field label not supported: {path}"
                )));
            }
            Ok((path.to_owned(), equal, value.to_owned()))
        })
        .collect()
}

/// The fields that the real server selects by, which are few.
fn is_field(resource: &Resource, path: &str) -> bool {
    if matches!(path, "metadata.name" | "metadata.namespace") {
        return true;
    }
    match resource.kind {
        "Pod" => matches!(
            path,
            "spec.nodeName"
                | "spec.restartPolicy"
                | "spec.serviceAccountName"
                | "status.phase"
                | "status.podIP"
        ),
        "Event" => {
            path.starts_with("involvedObject.")
                || path.starts_with("regarding.")
                || matches!(path, "reason" | "type" | "reportingComponent" | "source")
        }
        "Secret" => path == "type",
        "Namespace" => path == "status.phase",
        "Job" => path == "status.successful",
        "ReplicaSet" => path == "status.replicas",
        "Node" => path == "spec.unschedulable",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Selector;
    use crate::resources::PODS;

    #[test]
    fn labels_are_selected_by_each_kind_of_requirement() {
        let pod = json!({"metadata": {"name": "a", "labels": {"app": "db", "tier": "1"}}});
        let matches = |labels: &str| {
            let selector = Selector::parse(&PODS, labels, "").expect("it is well formed");
            selector.matches(&pod)
        };
        for yes in [
            "",
            "app=db",
            "app==db,tier",
            "app in (x, db),tier=1",
            "!role",
            "app!=x",
            "role notin (a,b)",
        ] {
            assert!(matches(yes), "{yes}");
        }
        for no in ["app=x", "!app", "app notin (db,x)", "role", "app in (x,y)"] {
            assert!(!matches(no), "{no}");
        }
        assert!(Selector::parse(&PODS, "app in db", "").is_err());
        assert!(Selector::parse(&PODS, "", "spec.nonsense=1").is_err());
    }
}
