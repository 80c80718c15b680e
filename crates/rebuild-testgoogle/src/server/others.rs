//! What is answered besides the methods of APIs.

use hyper::Response;
use hyper::header::HeaderValue;
use serde_json::{Value, json};

use super::Request;
use super::answer::{self, Body};
use crate::access::{self, Metadata};
use crate::error::ApiError;
use crate::state::State;

const METADATA: &str = "/computeMetadata/v1";

/// What requests for a path are called, if it is no method's.
pub(super) fn name(path: &str) -> Option<&'static str> {
    match path {
        "/token" => Some("oauth2.token"),
        // Clients look whether there is a metadata server at all.
        "/" => Some("metadata"),
        _ if path.starts_with(METADATA) => Some("metadata"),
        _ if path.starts_with("/$discovery/rest") => Some("discovery"),
        _ if path.starts_with("/discovery/v1/apis/") => Some("discovery"),
        _ => None,
    }
}

pub(super) fn answer(state: &State, request: &Request) -> Response<Body> {
    if request.path == "/token" {
        let (code, object) = access::token(&mut state.access(), &request.body, &state.url);
        return answer::json(code, &object);
    }
    if request.path.contains("discovery") {
        return description(state, request);
    }
    let mut response = metadata(state, request);
    let flavor = HeaderValue::from_static("Google");
    response.headers_mut().insert("metadata-flavor", flavor);
    response
}

fn metadata(state: &State, request: &Request) -> Response<Body> {
    let Some(path) = request.path.strip_prefix(METADATA) else {
        return answer::file(200, "text/plain", "computeMetadata/\n");
    };
    if !request.is_metadata {
        let said = "Missing required header: Metadata-Flavor: Google";
        return answer::error(&ApiError::new(403, said));
    }
    let asked = |name: &str| {
        request
            .query
            .iter()
            .any(|(key, value)| key == name && value == "true")
    };
    let path = path.trim_start_matches('/');
    let found = access::metadata(&mut state.access(), path, asked("recursive"));
    match found {
        Some(Metadata::Text(text)) => answer::file(200, "application/text", text),
        Some(Metadata::Json(value)) => answer::json(200, &value),
        None => answer::error(&ApiError::new(
            404,
            "The metadata server has no such entry.",
        )),
    }
}

/// The document of an API, with this server in the place of Google's.
fn description(state: &State, request: &Request) -> Response<Body> {
    let query = |name: &str| request.query.iter().find(|(key, _)| key == name);
    let named = |name: &str| query(name).map_or("", |(_, value)| value.as_str());
    let parts: Vec<&str> = request.path.split('/').collect();
    let (api, version) = match parts[..] {
        ["", "discovery", "v1", "apis", api, version, "rest"] => (api, version),
        _ => (named("api"), named("version")),
    };
    let documents = &state.catalog.documents;
    let by_host = || {
        let mut documents = documents.iter();
        documents.find(|it| request.host.contains(it.name()))
    };
    let found = state.catalog.document(api, version).or_else(by_host);
    // A client that names the version alone asks the API itself; of those that are here, that is what
    // BigQuery's command line does, with two APIs.
    let bigquery = || {
        let names = ["bigquery", "bigquerydatatransfer"];
        let mut documents = names
            .iter()
            .map(|name| state.catalog.document(name, version));
        documents.find_map(|found| found)
    };
    let Some(document) = found.or_else(bigquery) else {
        let said = format!("No discovery document was found for API {api}, version {version}.");
        return answer::error(&ApiError::new(404, said));
    };
    let mut root = document.root.clone();
    let path = root["servicePath"].as_str().unwrap_or_default();
    root["baseUrl"] = json!(format!("{}/{path}", state.url));
    root["rootUrl"] = json!(format!("{}/", state.url));
    if let Some(root) = root.as_object_mut() {
        root.retain(|name, _| !matches!(name.as_str(), "mtlsRootUrl" | "endpoints"));
    }
    answer::json(200, &Value::clone(&root))
}
