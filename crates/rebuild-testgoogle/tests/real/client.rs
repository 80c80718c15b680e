//! A plain HTTP client, for what the real ones would not send.

use rebuild_testgoogle::Google;
use serde_json::Value;

/// Sends a request with a token of the server, and gives the code and the object.
pub(crate) async fn call(google: &Google, http: &str, path: &str, body: &str) -> (u16, Value) {
    with_token(google, http, path, body, Some(&google.token())).await
}

pub(crate) async fn with_token(
    google: &Google,
    http: &str,
    path: &str,
    body: &str,
    token: Option<&str>,
) -> (u16, Value) {
    let (code, text) = send(google, http, path, body, token).await.unwrap();
    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (code, value)
}

/// The code and the text of an answer, if there is one.
pub(crate) async fn send(
    google: &Google,
    http: &str,
    path: &str,
    body: &str,
    token: Option<&str>,
) -> Result<(u16, String), reqwest::Error> {
    let url = format!("{}{path}", google.url());
    let mut request = reqwest::Client::new()
        .request(http.parse().unwrap(), url)
        .header("content-type", "application/json")
        .header("metadata-flavor", "Google")
        .body(body.to_owned());
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await?;
    let code = response.status().as_u16();
    Ok((code, response.text().await?))
}
