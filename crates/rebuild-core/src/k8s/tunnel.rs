//! One connection to a port of a pod, through the API server.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::core::Request;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::error::{Error, ErrorKind, Result, clean};

/// How often a silent connection says that it is there. Load balancers before an API server forget
/// one after minutes of silence, and the session that holds the lock is silent for as long as a step
/// takes.
const PING_EVERY: Duration = Duration::from_secs(30);

/// How much is sent in one message.
const PIECE: usize = 64 * 1024;

/// The channel of the bytes, and the one of what went wrong, of the only port.
const DATA: u8 = 0;
const ERROR: u8 = 1;

/// Opens a port of a pod.
///
/// # Errors
/// The API server said no.
pub(super) async fn open(
    pods: &Api<Pod>,
    pod: &str,
    port: u16,
) -> Result<WebSocketStream<impl AsyncRead + AsyncWrite + Send + Unpin + use<>>, kube::Error> {
    let request = Request::new(pods.resource_url()).portforward(pod, &[port]);
    let request = request.map_err(kube::Error::BuildRequest)?;
    let client = pods.clone().into_client();
    Ok(client.connect(request).await?.into_stream())
}

/// Carries bytes both ways until either side is done.
///
/// # Errors
/// What the pod's side says went wrong; the way there broke.
pub(super) async fn carry<S>(local: TcpStream, remote: WebSocketStream<S>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let (to_pod, from_pod) = remote.split();
    let (from_here, to_here) = local.into_split();
    // Each way at its own pace: a side that waits to be read from may not be reading.
    tokio::select! {
        sent = send(from_here, to_pod) => sent,
        received = receive(from_pod, to_here) => received,
    }
}

async fn send<S>(
    mut from: OwnedReadHalf,
    mut to: SplitSink<WebSocketStream<S>, Message>,
) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut piece = vec![DATA; 1 + PIECE];
    let mut pings = tokio::time::interval(PING_EVERY);
    pings.tick().await;
    loop {
        let message = tokio::select! {
            read = from.read(&mut piece[1..]) => match read {
                // A reset is how programs that are killed say goodbye.
                Ok(0) | Err(_) => break,
                Ok(n) => Message::Binary(Bytes::copy_from_slice(&piece[..=n])),
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        to.send(message).await.map_err(broken)?;
    }
    // What is on its way arrives; whether the goodbye does is nobody's loss.
    let _ = to.send(Message::Close(None)).await;
    Ok(())
}

async fn receive<S>(mut from: SplitStream<WebSocketStream<S>>, mut to: OwnedWriteHalf) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    // The first message of each channel is the number of the port.
    let mut begun = [false; 2];
    while let Some(message) = from.next().await {
        let bytes = match message.map_err(broken)? {
            Message::Binary(bytes) => bytes,
            Message::Close(_) => break,
            _ => continue,
        };
        let (Some(&channel @ (DATA | ERROR)), true) = (bytes.first(), bytes.len() > 1) else {
            continue;
        };
        if !std::mem::replace(&mut begun[usize::from(channel)], true) {
            continue;
        }
        if channel == ERROR {
            let said = String::from_utf8_lossy(&bytes[1..]);
            return Err(Error::new(ErrorKind::Unreachable, clean(&said)));
        }
        if to.write_all(&bytes[1..]).await.is_err() {
            break;
        }
    }
    // Whoever reads here must not wait for the rest of a message.
    let _ = to.shutdown().await;
    Ok(())
}

fn broken(e: tokio_tungstenite::tungstenite::Error) -> Error {
    Error::new(ErrorKind::Unreachable, "the connection broke").caused_by(e)
}
