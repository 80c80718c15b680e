//! The two places that give out tokens: the OAuth 2 endpoint, and the metadata server that a
//! machine of Google's has. <https://cloud.google.com/compute/docs/metadata/overview>

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Access;

/// Answers a request for a token: the code and the object.
pub(crate) fn token(access: &mut Access, body: &[u8], url: &str) -> (u16, Value) {
    let fields = fields(body);
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let granted = match field("grant_type") {
        "refresh_token" => access.refreshed(field),
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
            access.asserted(field("assertion"), &format!("{url}/token"))
        }
        other => Err((
            "unsupported_grant_type",
            format!("Invalid grant_type: {other}"),
        )),
    };
    match granted {
        Ok(principal) => (200, new_token(access, &principal)),
        Err((error, description)) => {
            let said = json!({"error": error, "error_description": description});
            (if error == "invalid_client" { 401 } else { 400 }, said)
        }
    }
}

/// Clients send the fields of a form or of an object.
fn fields(body: &[u8]) -> HashMap<String, String> {
    if let Ok(Value::Object(fields)) = serde_json::from_slice(body) {
        let text = |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
        return fields.into_iter().filter_map(text).collect();
    }
    url::form_urlencoded::parse(body).into_owned().collect()
}

fn new_token(access: &mut Access, principal: &str) -> Value {
    let token = access.issue(principal);
    json!({
        "access_token": token, "expires_in": access.lifetime.as_secs(), "token_type": "Bearer",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
    })
}

/// What the metadata server says.
pub(crate) enum Metadata {
    Text(String),
    Json(Value),
}

/// What is at a path below `/computeMetadata/v1`, if anything is.
pub(crate) fn metadata(access: &mut Access, path: &str, recursive: bool) -> Option<Metadata> {
    let principal = access.principal.clone();
    let path = path.trim_end_matches('/');
    let text = |text: &str| Some(Metadata::Text(text.to_owned()));
    if let Some(rest) = path.strip_prefix("instance/service-accounts") {
        let mut parts = rest.trim_start_matches('/').splitn(2, '/');
        return match (parts.next().unwrap_or_default(), parts.next()) {
            ("", _) => Some(Metadata::Text(format!("default/\n{principal}/\n"))),
            (account, _) if account != "default" && account != principal => None,
            (_, None) if recursive => Some(Metadata::Json(json!({
                "aliases": ["default"], "email": principal,
                "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
            }))),
            (_, None) => text("aliases\nemail\nidentity\nscopes\ntoken\n"),
            (_, Some("email")) => Some(Metadata::Text(principal)),
            (_, Some("scopes")) => text("https://www.googleapis.com/auth/cloud-platform\n"),
            (_, Some("token")) => Some(Metadata::Json(new_token(access, &principal))),
            _ => None,
        };
    }
    match path {
        "" => text("instance/\nproject/\n"),
        "project/project-id" => Some(Metadata::Text(access.project.clone())),
        "project/numeric-project-id" => text("123456789012"),
        "instance/zone" => text("projects/123456789012/zones/europe-west1-b"),
        "instance/region" => text("projects/123456789012/regions/europe-west1"),
        "universe/universe-domain" => text("googleapis.com"),
        _ => None,
    }
}
