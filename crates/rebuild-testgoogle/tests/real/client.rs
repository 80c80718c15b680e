//! A plain HTTP client, for what the real ones would not send.

use std::io;

use rebuild_testgoogle::Google;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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

/// The code and the text of an answer, if there is a whole one.
pub(crate) async fn send(
    google: &Google,
    http: &str,
    path: &str,
    body: &str,
    token: Option<&str>,
) -> io::Result<(u16, String)> {
    let host = google.authority();
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    let request = format!(
        "{http} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{}\
         metadata-flavor: Google\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n\
         {body}",
        token.unwrap_or_default(),
        body.len()
    );
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    read(&answer).ok_or_else(|| io::Error::other(format!("no whole answer: {answer:?}")))
}

fn read(answer: &str) -> Option<(u16, String)> {
    let (head, text) = answer.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let whole = length.is_none_or(|length| length.parse() == Ok(text.len()));
    whole.then(|| (code, text.to_owned()))
}
