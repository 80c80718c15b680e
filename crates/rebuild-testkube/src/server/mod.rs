//! The server: connections, authentication, faults.

mod discovery;
mod dispatch;
mod line;
mod openapi;
mod protobuf;
mod reads;
mod target;
mod watching;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub(crate) use self::line::Line;
pub(crate) use self::target::{Query, Target};
use crate::fault::Strike;
use crate::state::{Request, State};
use crate::status::ApiError;

/// A body, whole or streamed. An error in it closes the connection.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
type Answer = Result<Response<Body>, io::Error>;

/// Takes connections until the cluster ends.
pub(crate) async fn serve(state: Arc<State>, listener: TcpListener) {
    let acceptor = TlsAcceptor::from(state.access.tls.clone());
    while let Some(Ok((tcp, _))) = state.stop.run_until_cancelled(listener.accept()).await {
        tokio::spawn(connection(state.clone(), acceptor.clone(), tcp));
    }
}

async fn connection(state: Arc<State>, acceptor: TlsAcceptor, tcp: TcpStream) {
    // Small frames go back and forth; waiting to fill packets would make each of them slow.
    let _ = tcp.set_nodelay(true);
    let Ok(tls) = acceptor.accept(tcp).await else {
        return;
    };
    let line = Arc::new(Line::default());
    state.add_line(&line);
    let stop = state.stop.clone();
    let own = line.clone();
    let service = service_fn(move |request| handle(state.clone(), own.clone(), request));
    let serving = http1::Builder::new()
        .serve_connection(TokioIo::new(line.meter(tls)), service)
        .with_upgrades();
    tokio::select! {
        _ = serving => {}
        () = line.cut() => {}
        () = stop.cancelled() => {}
    }
}

async fn handle(state: Arc<State>, line: Arc<Line>, request: hyper::Request<Incoming>) -> Answer {
    let uri = request.uri();
    let header = |name| request.headers().get(name).and_then(|it| it.to_str().ok());
    state.requests().push(Request {
        method: request.method().to_string(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        user_agent: header(USER_AGENT).unwrap_or_default().to_owned(),
    });
    let bearer = header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    if bearer != Some(state.access.token.as_str()) {
        return Ok(failure(&ApiError::new(401, "Unauthorized", "Unauthorized")));
    }
    let method = request.method().as_str();
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    let strike = state.faults().strike(method, path);
    let mut expired = false;
    match &strike {
        Some(Strike::Answer { code, retry_after }) => {
            return Ok(failure(&struck(*code, *retry_after)));
        }
        Some(Strike::CloseBefore) => return Err(closed()),
        Some(Strike::CutStream { bytes }) => line.allow_only(*bytes),
        Some(Strike::Hang(duration)) => tokio::time::sleep(*duration).await,
        Some(Strike::Expire) => expired = true,
        Some(Strike::CloseAfter) | None => {}
    }
    let answer = dispatch::dispatch(&state, &line, request, expired).await;
    if matches!(strike, Some(Strike::CloseAfter)) {
        return Err(closed());
    }
    Ok(answer.unwrap_or_else(|error| failure(&error)))
}

fn closed() -> io::Error {
    io::Error::other("a fault closed the connection")
}

fn struck(code: u16, retry_after: Option<u64>) -> ApiError {
    let (reason, message) = match code {
        409 => (
            "Conflict",
            "Operation cannot be fulfilled: the object has been modified; please apply your changes to the latest version and try again",
        ),
        429 => (
            "TooManyRequests",
            "Too many requests, please try again later.",
        ),
        500 => (
            "InternalError",
            "Internal error occurred: a fault was injected",
        ),
        503 => (
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        ),
        504 => (
            "Timeout",
            "Timeout: request did not complete within the allotted timeout",
        ),
        _ => ("Unknown", "a fault was injected"),
    };
    let error = ApiError::new(code, reason, message);
    match retry_after {
        Some(seconds) => error.retry_after(seconds),
        None => error,
    }
}

/// An answer with an object.
pub(crate) fn answer(code: u16, object: &Value) -> Response<Body> {
    let bytes = Bytes::from(object.to_string());
    let mut response = Response::new(whole(bytes));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

pub(crate) fn failure(error: &ApiError) -> Response<Body> {
    let mut response = answer(error.code, &error.to_value());
    if let Some(seconds) = error.retry_seconds() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

pub(crate) fn whole(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}
