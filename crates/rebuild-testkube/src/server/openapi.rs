//! The little of OpenAPI that clients need: which kinds can be patched, and with which parameters.
//! `kubectl apply` asks for it to know that the server checks manifests itself.

use serde_json::{Map, Value, json};

use crate::resources::Resource;
use crate::state::State;

/// The document at a path of OpenAPI, if it is one.
pub(super) fn describe(state: &State, path: &str) -> Option<Value> {
    let rest = path.strip_prefix("/openapi/v3")?;
    let wanted = rest.trim_matches('/');
    if wanted.is_empty() {
        let mut paths = Map::new();
        for resource in state.served() {
            let place = place(resource);
            let link = json!({"serverRelativeURL": format!("/openapi/v3/{place}")});
            paths.insert(place, link);
        }
        return Some(json!({"paths": paths}));
    }
    let mut paths = Map::new();
    for resource in state.served().filter(|resource| place(resource) == wanted) {
        let (path, item) = operations(resource);
        paths.insert(path, item);
    }
    (!paths.is_empty()).then(|| {
        json!({
            "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.33.0"},
            "paths": paths, "components": {"schemas": {}},
        })
    })
}

/// `api/v1` or `apis/GROUP/v1`.
fn place(resource: &Resource) -> String {
    let root = if resource.group.is_empty() {
        "api"
    } else {
        "apis"
    };
    format!("{root}/{}", resource.api_version())
}

fn operations(resource: &Resource) -> (String, Value) {
    let namespace = if resource.namespaced {
        "namespaces/{namespace}/"
    } else {
        ""
    };
    let path = format!(
        "/{}/{namespace}{}/{{name}}",
        place(resource),
        resource.plural
    );
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let parameters = ["dryRun", "fieldManager", "fieldValidation", "force"].map(parameter);
    let schema = json!({"schema": {"type": "object"}});
    let patch = json!({
        "parameters": parameters,
        "requestBody": {"content": {
            "application/json-patch+json": schema,
            "application/merge-patch+json": schema,
            "application/apply-patch+yaml": schema,
        }},
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": {
            "group": resource.group, "version": resource.version, "kind": resource.kind,
        },
    });
    (path, json!({"patch": patch}))
}
