//! A door before a server: it remembers what passes, and fails as a test asks.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A server without its socket.
#[async_trait]
pub(crate) trait Behind: Send + Sync + 'static {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes>;
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The door answers with a status and a code, and the server never knows.
    Refuse(u16, &'static str),
    /// The door answers with a status and this body.
    Say(u16, String),
    /// The server does it, and the answer is lost.
    LoseTheAnswer,
    /// The request is never answered, nor is any other until the door is opened again.
    Die,
    /// The server is not told the conditions of a write.
    ForgetConditions,
}

/// A fault, for the requests that `when` picks: the first `skip` of them pass, `times` are struck.
struct Planned {
    when: fn(&Request<Bytes>) -> bool,
    skip: usize,
    times: usize,
    fault: Fault,
}

struct Room {
    behind: Box<dyn Behind>,
    planned: Mutex<Vec<Planned>>,
    seen: Mutex<Vec<String>>,
    answered: Notify,
    /// The local servers look and write in two steps, where the real ones do it in one.
    conditional: tokio::sync::Mutex<()>,
}

/// A socket on this machine, and the server behind it.
pub(crate) struct Door {
    room: Arc<Room>,
    address: SocketAddr,
    open: Mutex<CancellationToken>,
}

impl Door {
    pub(crate) async fn before(behind: impl Behind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let door = Self {
            address: listener.local_addr().expect("its address"),
            room: Arc::new(Room {
                behind: Box::new(behind),
                planned: Mutex::new(Vec::new()),
                seen: Mutex::new(Vec::new()),
                answered: Notify::new(),
                conditional: tokio::sync::Mutex::new(()),
            }),
            open: Mutex::new(CancellationToken::new()),
        };
        door.serve(listener);
        door
    }

    /// Opens a door that has died.
    pub(crate) async fn open_again(&self) {
        *self.open.lock().unwrap() = CancellationToken::new();
        let listener = TcpListener::bind(self.address).await.expect("its socket");
        self.serve(listener);
    }

    fn serve(&self, listener: TcpListener) {
        let shut = self.open.lock().unwrap().clone();
        let room = Arc::clone(&self.room);
        tokio::spawn(async move {
            while let Some(Ok((socket, _))) = shut.run_until_cancelled(listener.accept()).await {
                let (room, shut) = (Arc::clone(&room), shut.clone());
                tokio::spawn(async move {
                    let served = connection(room, socket, &shut);
                    let _ = shut.run_until_cancelled(served).await;
                });
            }
        });
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Plans a fault for the requests that `when` picks, after `skip` of them.
    pub(crate) fn plan(
        &self,
        fault: Fault,
        skip: usize,
        times: usize,
        when: fn(&Request<Bytes>) -> bool,
    ) {
        self.room.planned.lock().unwrap().push(Planned {
            when,
            skip,
            times,
            fault,
        });
    }

    /// Faults that were planned and have not struck.
    pub(crate) fn left(&self) -> usize {
        let planned = self.room.planned.lock().unwrap();
        planned.iter().map(|p| p.times).sum()
    }

    /// Ends all planned faults.
    pub(crate) fn end_faults(&self) {
        self.room.planned.lock().unwrap().clear();
    }

    /// Waits until `done`, which depends on what the server has answered.
    pub(crate) async fn until(&self, done: impl Fn() -> bool) {
        let looking = async {
            loop {
                let answered = self.room.answered.notified();
                if done() {
                    return;
                }
                answered.await;
            }
        };
        let looked = tokio::time::timeout(Duration::from_secs(30), looking).await;
        looked.expect("the server was asked for it in time");
    }

    /// The method and target of each request, in order.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.room.seen.lock().unwrap().clone()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.open.lock().unwrap().cancel();
    }
}

/// A write that is to create an object.
pub(crate) fn creates(request: &Request<Bytes>) -> bool {
    request.headers().contains_key("if-none-match")
        || request.headers().contains_key("x-goog-if-generation-match")
}

/// A part of an upload.
pub(crate) fn part(request: &Request<Bytes>) -> bool {
    request.method() == Method::PUT && query(request).contains("partNumber=")
}

/// The end of an upload.
pub(crate) fn completes(request: &Request<Bytes>) -> bool {
    request.method() == Method::POST && query(request).contains("uploadId=")
}

fn query(request: &Request<Bytes>) -> &str {
    request.uri().query().unwrap_or_default()
}

async fn connection(room: Arc<Room>, socket: TcpStream, shut: &CancellationToken) {
    let service = service_fn(|request| pass(Arc::clone(&room), request, shut.clone()));
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service)
        .await;
    // A cut connection is what some tests are about.
    drop(served);
}

/// An error cuts the connection.
async fn pass(
    room: Arc<Room>,
    request: Request<Incoming>,
    shut: CancellationToken,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let cut = || std::io::Error::other("the connection is cut");
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| cut())?.to_bytes();
    let mut request = Request::from_parts(parts, body);
    let line = format!("{} {}", request.method(), request.uri());
    room.seen.lock().unwrap().push(line);
    let fault = room.fault(&request);
    match fault {
        Some(Fault::Refuse(status, code)) => {
            let body = format!("<Error><Code>{code}</Code><Message>as planned</Message></Error>");
            return Ok(answer(status, body).map(Full::new));
        }
        Some(Fault::Say(status, body)) => return Ok(answer(status, body).map(Full::new)),
        Some(Fault::Die) => {
            shut.cancel();
            return Err(cut());
        }
        Some(Fault::ForgetConditions) => {
            request.headers_mut().remove("if-none-match");
            request.headers_mut().remove("x-goog-if-generation-match");
        }
        Some(Fault::LoseTheAnswer) | None => {}
    }
    let one = match creates(&request) {
        true => Some(room.conditional.lock().await),
        false => None,
    };
    let answered = room.behind.answer(request).await;
    drop(one);
    room.answered.notify_waiters();
    match fault {
        Some(Fault::LoseTheAnswer) => Err(cut()),
        _ => Ok(answered.map(Full::new)),
    }
}

impl Room {
    fn fault(&self, request: &Request<Bytes>) -> Option<Fault> {
        let mut planned = self.planned.lock().unwrap();
        for p in planned.iter_mut().filter(|p| (p.when)(request)) {
            if p.skip > 0 {
                p.skip -= 1;
            } else if p.times > 0 {
                p.times -= 1;
                return Some(p.fault.clone());
            }
        }
        None
    }
}

/// An answer of the door, or of a server that is written here.
pub(crate) fn answer(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .body(body.into())
        .expect("an answer")
}
