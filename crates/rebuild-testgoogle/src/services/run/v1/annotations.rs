//! What the older API keeps in annotations, and the newer one in fields.

use serde_json::{Map, Value, json};

use crate::call::Result;
use crate::error::ApiError;

/// Annotations that are told, and mean nothing here: who has deployed, and what was asked for last.
const TOLD: [&str; 7] = [
    "run.googleapis.com/client-name",
    "run.googleapis.com/client-version",
    "run.googleapis.com/ingress-status",
    "run.googleapis.com/operation-id",
    "run.googleapis.com/urls",
    "serving.knative.dev/creator",
    "serving.knative.dev/lastModifier",
];

const INGRESS: [(&str, &str); 3] = [
    ("all", "INGRESS_TRAFFIC_ALL"),
    ("internal", "INGRESS_TRAFFIC_INTERNAL_ONLY"),
    (
        "internal-and-cloud-load-balancing",
        "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
    ),
];

/// The annotations of a service.
pub(super) fn of_service(service: &Value) -> Value {
    let mut all = Map::new();
    let scaling = &service["scaling"];
    let mode = match scaling["scalingMode"].as_str() {
        Some("MANUAL") => Some("manual"),
        Some("AUTOMATIC") => Some("automatic"),
        _ => None,
    };
    let ingress = INGRESS
        .iter()
        .find(|(_, newer)| service["ingress"] == *newer);
    for (name, value) in [
        ("run.googleapis.com/scalingMode", mode.map(str::to_owned)),
        (
            "run.googleapis.com/manualInstanceCount",
            text(&scaling["manualInstanceCount"]),
        ),
        (
            "run.googleapis.com/minScale",
            text(&scaling["minInstanceCount"]),
        ),
        (
            "run.googleapis.com/ingress",
            ingress.map(|(older, _)| (*older).to_owned()),
        ),
        (
            "run.googleapis.com/description",
            text(&service["description"]),
        ),
        ("serving.knative.dev/creator", text(&service["creator"])),
    ] {
        if let Some(value) = value {
            all.insert(name.to_owned(), value.into());
        }
    }
    all.into()
}

/// The fields of a service that its annotations say, and the annotations that are its own.
///
/// # Errors
/// One of Google's is not known here.
pub(super) fn to_service(annotations: &Value) -> Result<Value> {
    let mut service = json!({});
    for (name, value) in annotations.as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        match name.as_str() {
            "run.googleapis.com/scalingMode" => {
                service["scaling"]["scalingMode"] = text.to_uppercase().into();
            }
            "run.googleapis.com/manualInstanceCount" => {
                service["scaling"]["manualInstanceCount"] = number(name, text)?;
            }
            "run.googleapis.com/minScale" => {
                service["scaling"]["minInstanceCount"] = number(name, text)?;
            }
            "run.googleapis.com/ingress" => {
                let newer = INGRESS.iter().find(|(older, _)| *older == text);
                let (_, newer) = newer.ok_or_else(|| invalid(name, text))?;
                service["ingress"] = (*newer).into();
            }
            "run.googleapis.com/description" => service["description"] = value.clone(),
            told if TOLD.contains(&told) => {}
            own => keep(&mut service, own, value)?,
        }
    }
    Ok(service)
}

/// The annotations of a template of revisions or tasks.
pub(super) fn of_template(template: &Value) -> Value {
    let mut all = template["annotations"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let scaling = &template["scaling"];
    let mut instances = Vec::new();
    for volume in template["volumes"].as_array().into_iter().flatten() {
        let own = volume["cloudSqlInstance"]["instances"].as_array();
        instances.extend(own.into_iter().flatten().filter_map(Value::as_str));
    }
    let instances = (!instances.is_empty()).then(|| instances.join(","));
    for (name, value) in [
        (
            "autoscaling.knative.dev/minScale",
            text(&scaling["minInstanceCount"]),
        ),
        (
            "autoscaling.knative.dev/maxScale",
            text(&scaling["maxInstanceCount"]),
        ),
        ("run.googleapis.com/cloudsql-instances", instances),
    ] {
        if let Some(value) = value {
            all.insert(name.to_owned(), value.into());
        }
    }
    all.into()
}

/// The fields of a template that its annotations say, and the annotations that are its own.
///
/// # Errors
/// One of Google's is not known here.
pub(super) fn to_template(annotations: &Value) -> Result<Value> {
    let mut template = json!({});
    for (name, value) in annotations.as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        match name.as_str() {
            "autoscaling.knative.dev/minScale" => {
                template["scaling"]["minInstanceCount"] = number(name, text)?;
            }
            "autoscaling.knative.dev/maxScale" => {
                template["scaling"]["maxInstanceCount"] = number(name, text)?;
            }
            "run.googleapis.com/cloudsql-instances" => {
                let instances: Vec<&str> = text.split(',').collect();
                let volume = json!({"instances": instances});
                template["volumes"] = json!([{"name": "cloudsql", "cloudSqlInstance": volume}]);
            }
            told if TOLD.contains(&told) => {}
            own => keep(&mut template, own, value)?,
        }
    }
    Ok(template)
}

fn keep(object: &mut Value, name: &str, value: &Value) -> Result<()> {
    if name.contains("googleapis.com/") || name.contains("knative.dev/") {
        let said = format!("the annotation {name} is not known here");
        return Err(ApiError::new(501, said));
    }
    object["annotations"][name] = value.clone();
    Ok(())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn number(name: &str, text: &str) -> Result<Value> {
    let number: i32 = text.parse().map_err(|_| invalid(name, text))?;
    Ok(number.into())
}

fn invalid(name: &str, text: &str) -> ApiError {
    ApiError::new(400, format!("{name}: {text} is not allowed"))
}
