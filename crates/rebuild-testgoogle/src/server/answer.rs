//! Answers as they are sent.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::Value;

use crate::error::ApiError;

/// A body. An error in it closes the connection.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

pub(super) fn json(code: u16, value: &Value) -> Response<Body> {
    file(code, "application/json; charset=UTF-8", value.to_string())
}

pub(super) fn error(error: &ApiError) -> Response<Body> {
    let mut response = json(error.code, &error.to_value());
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if error.code == 401 {
        let realm = "Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"";
        let realm = HeaderValue::from_static(realm);
        response.headers_mut().insert(WWW_AUTHENTICATE, realm);
    }
    response
}

pub(super) fn file(code: u16, kind: &str, bytes: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(whole(bytes.into()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
    if let Ok(kind) = HeaderValue::from_str(kind) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

fn whole(bytes: Bytes) -> Body {
    let never = |never: Infallible| match never {};
    Full::new(bytes).map_err(never).boxed_unsync()
}

async fn split(response: Response<Body>) -> (hyper::http::response::Parts, Bytes) {
    let (parts, body) = response.into_parts();
    let collected = body.collect().await;
    (
        parts,
        collected.map_or_else(|_| Bytes::new(), |it| it.to_bytes()),
    )
}

/// The same answer with the first half of its text, as if that were all.
pub(super) async fn halved(response: Response<Body>) -> Response<Body> {
    let (parts, bytes) = split(response).await;
    Response::from_parts(parts, whole(bytes.slice(..bytes.len() / 2)))
}

/// The same answer, whose connection is closed after the first half.
pub(super) async fn cut(response: Response<Body>) -> Response<Body> {
    let (mut parts, bytes) = split(response).await;
    parts.headers.insert(CONTENT_LENGTH, bytes.len().into());
    let half = Frame::data(bytes.slice(..bytes.len() / 2));
    let closed = io::Error::other("a fault closed the connection");
    let frames = stream::iter([Ok(half), Err(closed)]);
    Response::from_parts(parts, StreamBody::new(frames).boxed_unsync())
}
