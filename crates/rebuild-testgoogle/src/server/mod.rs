//! The HTTP server: connections, and what surrounds every call.

mod answer;
mod body;
mod calls;
mod others;

use std::io;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use self::answer::Body;
use crate::fault::{self, FaultHandle, Strike};
use crate::record;
use crate::state::State;

type Answered = Result<Response<Body>, io::Error>;

/// A request with its body, which is read before anything else is done.
#[derive(Debug, Clone)]
struct Request {
    http: String,
    host: String,
    path: String,
    query: Vec<(String, String)>,
    content_type: String,
    authorization: Option<String>,
    user_agent: String,
    is_metadata: bool,
    body: bytes::Bytes,
}

/// Takes connections until the server ends.
pub(crate) async fn serve(state: Arc<State>, listener: TcpListener) {
    let mut stop = state.stop.subscribe();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => drop(tokio::spawn(connection(state.clone(), tcp))),
                Err(_) => return,
            },
        }
    }
}

async fn connection(state: Arc<State>, tcp: TcpStream) {
    let _ = tcp.set_nodelay(true);
    let mut stop = state.stop.subscribe();
    let service = service_fn(move |request| handle(state.clone(), request));
    let serving = http1::Builder::new().serve_connection(TokioIo::new(tcp), service);
    tokio::select! {
        _ = serving => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn handle(state: Arc<State>, request: hyper::Request<Incoming>) -> Answered {
    let request = read(request).await?;
    // What has begun goes on, also when the client does not wait for it.
    let answering = tokio::spawn(answer(state, request));
    answering.await.map_err(io::Error::other)?
}

async fn read(request: hyper::Request<Incoming>) -> io::Result<Request> {
    let header = |name| {
        let value = request.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let uri = request.uri();
    let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let read = Request {
        http: request.method().to_string(),
        // A request through a proxy names the host in its first line.
        host: uri
            .host()
            .map(str::to_owned)
            .or_else(|| header(HOST))
            .unwrap_or_default(),
        path: uri.path().to_owned(),
        query: query.into_owned().collect(),
        content_type: header(CONTENT_TYPE).unwrap_or_default(),
        authorization: header(AUTHORIZATION),
        user_agent: header(USER_AGENT).unwrap_or_default(),
        is_metadata: request.headers().contains_key("metadata-flavor"),
        body: bytes::Bytes::new(),
    };
    let body = request.into_body().collect().await;
    let body = body.map_err(io::Error::other)?.to_bytes();
    Ok(Request { body, ..read })
}

/// Answers a request, between the faults that strike it.
async fn answer(state: Arc<State>, request: Request) -> Answered {
    let route = state
        .catalog
        .route(&request.http, &request.host, &request.path);
    let other = others::name(&request.path);
    let method = other.map(str::to_owned);
    let method = method.or_else(|| route.as_ref().map(|it| it.method.id.clone()));
    let method = method.unwrap_or_default();
    let number = state.records().add(record::Request {
        method: method.clone(),
        api: route.as_ref().map_or("", |route| route.method.document.api),
        path: request.path.clone(),
        query: request.query.clone(),
        body: Value::Null,
        principal: String::new(),
        user_agent: request.user_agent.clone(),
        status: None,
    });
    let strike = state.faults().strike(&method, &request.path);
    match &strike {
        Some((Strike::Answer(error), _)) => return Ok(done(&state, number, answer::error(error))),
        Some((Strike::CloseBefore, _)) => return Err(closed()),
        Some((Strike::Hold, handle)) => handle.released().await,
        Some((Strike::ExpireTokens, _)) => state.access().expire_tokens(),
        _ => {}
    }
    let response = match (other, route) {
        (Some(_), _) => others::answer(&state, &request),
        (None, Some(route)) => calls::answer(&state, request, route, number).await,
        (None, None) => calls::no_such_method(&state, &request),
    };
    struck_after(strike, done(&state, number, response)).await
}

fn done(state: &State, number: usize, response: Response<Body>) -> Response<Body> {
    let status = response.status().as_u16();
    state
        .records()
        .change(number, |request| request.status = Some(status));
    response
}

async fn struck_after(strike: Option<(Strike, FaultHandle)>, response: Response<Body>) -> Answered {
    match fault::after_effect(strike) {
        Some((Strike::CloseAfter, _)) => Err(closed()),
        Some((Strike::Truncate, _)) => Ok(answer::halved(response).await),
        Some((Strike::CutAnswer, _)) => Ok(answer::cut(response).await),
        Some((Strike::HoldAnswer, handle)) => {
            handle.released().await;
            Ok(response)
        }
        _ => Ok(response),
    }
}

fn closed() -> io::Error {
    io::Error::other("a fault closed the connection")
}
