//! WebSockets with channels: the first byte of each message says which.

use std::sync::Arc;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use crate::server::{Body, Line};
use crate::state::State;
use crate::status::{ApiError, Result};

type Stream = WebSocketStream<TokioIo<Upgraded>>;

/// The half that sends, shared by the tasks of one stream.
#[derive(Clone)]
pub(super) struct Sender(Arc<Mutex<SplitSink<Stream, Message>>>);

/// The half that receives.
pub(super) struct Receiver(SplitStream<Stream>);

impl Sender {
    /// Sends bytes on a channel; false if the connection is gone.
    pub(super) async fn send(&self, channel: u8, bytes: &[u8]) -> bool {
        let message = Message::binary([&[channel], bytes].concat());
        self.0.lock().await.send(message).await.is_ok()
    }

    /// Ends the stream.
    pub(super) async fn close(&self) {
        // The client may have gone first.
        let normal = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let _ = self.0.lock().await.send(Message::Close(Some(normal))).await;
        let _ = self.0.lock().await.close().await;
    }
}

impl Receiver {
    /// The next message: its channel and its bytes. Nothing once the client has closed.
    pub(super) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let bytes = match self.0.next().await?.ok()? {
                Message::Binary(bytes) => bytes.to_vec(),
                Message::Text(text) => text.as_bytes().to_vec(),
                Message::Close(_) => return None,
                _ => continue,
            };
            if let Some((channel, rest)) = bytes.split_first() {
                return Some((*channel, rest.to_vec()));
            }
        }
    }
}

/// Accepts a WebSocket in the first of the client's protocols that is known, and serves it in the
/// background until it ends or the connection is cut.
pub(super) fn accept<F>(
    state: &Arc<State>,
    line: &Arc<Line>,
    request: &mut Request<Incoming>,
    known: &[&'static str],
    serve: impl FnOnce(&'static str, Sender, Receiver) -> F + Send + 'static,
) -> Result<Response<Body>>
where
    F: Future<Output = ()> + Send,
{
    let header = |name: HeaderName| {
        let value = request.headers().get(name);
        value.and_then(|it| it.to_str().ok()).unwrap_or_default()
    };
    if !header(UPGRADE).eq_ignore_ascii_case("websocket") {
        return Err(ApiError::bad_request("Upgrade request required"));
    }
    let offered = header(SEC_WEBSOCKET_PROTOCOL).split(',').map(str::trim);
    let protocol = offered
        .into_iter()
        .find_map(|it| known.iter().find(|known| **known == it));
    let Some(protocol) = protocol.copied() else {
        let message = format!("unable to negotiate a protocol: the server knows {known:?}");
        return Err(ApiError::new(403, "Forbidden", message));
    };
    let accepted = derive_accept_key(header(SEC_WEBSOCKET_KEY).as_bytes());
    line.set_streaming();
    let upgrade = hyper::upgrade::on(request);
    let (state, line) = (state.clone(), line.clone());
    tokio::spawn(async move {
        let serving = async {
            if let Ok(upgraded) = upgrade.await {
                let io = TokioIo::new(upgraded);
                let stream = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
                let (sink, source) = stream.split();
                serve(
                    protocol,
                    Sender(Arc::new(Mutex::new(sink))),
                    Receiver(source),
                )
                .await;
            }
        };
        tokio::select! {
            () = serving => {}
            () = line.cut() => {}
            () = state.stop.cancelled() => {}
        }
    });
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    if let Ok(accepted) = HeaderValue::from_str(&accepted) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accepted);
    }
    Ok(response)
}
