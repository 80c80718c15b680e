//! One connection to a port of a pod, through the API server: as a port-forward, or by a program in the
//! pod that carries its input and output to the port.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use kube::core::{Request, Status};
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

/// How much of what a program complains of is kept.
const COMPLAINTS: usize = 2048;

/// The channel that bytes go to the pod on; and, in version 5 of the protocol, the one that closes
/// others.
const TO_POD: u8 = 0;
const CLOSE: u8 = 255;

/// What carries bytes to a port of a pod from where no port is forwarded. It ends with either side.
/// Images have bash, which opens ports itself, or a shell with `nc`, and seldom neither.
///
/// It waits for what it has begun. A process that outlives its parent becomes a child of the container's first
/// one, and that is the PostgreSQL server: it takes whatever ends by a signal for a session of its own that has
/// crashed, and ends all the others.
const RELAY: &str = r#"
if command -v bash >/dev/null 2>&1; then
  exec bash -c '
    trap "" PIPE
    exec 3<>"/dev/tcp/127.0.0.1/$0" 4<&0 || exit 1
    cat <&4 >&3 & cat <&3 & wait -n; kill $(jobs -p) 2>/dev/null; wait; exit 0' "$1"
elif command -v nc >/dev/null 2>&1; then
  exec nc 127.0.0.1 "$1"
fi
echo "neither bash nor nc is in the container" >&2
exit 127
"#;

/// How a port of a pod is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Through {
    /// A port-forward of the API server.
    #[default]
    PortForward,
    /// A program that is run in the pod, in this container or else the first, and carries bytes.
    Exec(Option<String>),
}

/// Which channel is which of what comes from the pod.
struct Channels {
    data: u8,
    /// What went wrong, in text, as it is told on the way.
    complaints: u8,
    /// How it ended, as an object of the API.
    status: Option<u8>,
    /// Whether the first message of a channel is the number of the port.
    numbered: bool,
}

impl Through {
    fn channels(&self) -> Channels {
        match self {
            Self::PortForward => Channels {
                data: 0,
                complaints: 1,
                status: None,
                numbered: true,
            },
            Self::Exec(_) => Channels {
                data: 1,
                complaints: 2,
                status: Some(3),
                numbered: false,
            },
        }
    }
}

/// Opens a port of a pod.
///
/// # Errors
/// The API server said no.
pub(super) async fn open(
    pods: &Api<Pod>,
    pod: &str,
    port: u16,
    through: &Through,
) -> Result<WebSocketStream<impl AsyncRead + AsyncWrite + Send + Unpin + use<>>, kube::Error> {
    let to = Request::new(pods.resource_url());
    let request = match through {
        Through::PortForward => to.portforward(pod, &[port]),
        Through::Exec(container) => {
            let streams = AttachParams {
                container: container.clone(),
                ..AttachParams::default().stdin(true)
            };
            let port = port.to_string();
            to.exec(pod, ["sh", "-c", RELAY, "sh", &port], &streams)
        }
    };
    let request = request.map_err(kube::Error::BuildRequest)?;
    let client = pods.clone().into_client();
    Ok(client.connect(request).await?.into_stream())
}

/// Carries bytes both ways until either side is done.
///
/// # Errors
/// What the pod's side says went wrong; the way there broke.
pub(super) async fn carry<S>(
    local: TcpStream,
    remote: WebSocketStream<S>,
    through: &Through,
) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let (to_pod, from_pod) = remote.split();
    let (from_here, to_here) = local.into_split();
    // Each way at its own pace: a side that waits to be read from may not be reading.
    tokio::select! {
        sent = send(from_here, to_pod, through) => sent,
        received = receive(from_pod, to_here, through.channels()) => received,
    }
}

async fn send<S>(
    mut from: OwnedReadHalf,
    mut to: SplitSink<WebSocketStream<S>, Message>,
    through: &Through,
) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut piece = vec![TO_POD; 1 + PIECE];
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
    if matches!(through, Through::Exec(_)) {
        let _ = to
            .send(Message::Binary(Bytes::from_static(&[CLOSE, TO_POD])))
            .await;
    }
    let _ = to.send(Message::Close(None)).await;
    Ok(())
}

async fn receive<S>(
    mut from: SplitStream<WebSocketStream<S>>,
    mut to: OwnedWriteHalf,
    channels: Channels,
) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut numbered = [channels.data, channels.complaints].to_vec();
    numbered.retain(|_| channels.numbered);
    let mut complaints = String::new();
    while let Some(message) = from.next().await {
        let bytes = match message.map_err(broken)? {
            Message::Binary(bytes) => bytes,
            Message::Close(_) => break,
            _ => continue,
        };
        let Some((&channel, bytes)) = bytes.split_first().filter(|(_, b)| !b.is_empty()) else {
            continue;
        };
        if let Some(place) = numbered.iter().position(|n| *n == channel) {
            numbered.swap_remove(place);
        } else if channel == channels.data {
            if to.write_all(bytes).await.is_err() {
                break;
            }
        } else if channel == channels.complaints {
            complaints.push_str(&String::from_utf8_lossy(bytes));
            // A port-forward says nothing more of how it ends.
            if channels.status.is_none() || complaints.len() > COMPLAINTS {
                return Err(complained(&complaints));
            }
        } else if Some(channel) == channels.status {
            let status: Status = serde_json::from_slice(bytes).unwrap_or_default();
            if !status.is_success() {
                complaints.push_str(&format!(" ({})", status.message));
                return Err(complained(&complaints));
            }
            break;
        }
    }
    // Whoever reads here must not wait for the rest of a message.
    let _ = to.shutdown().await;
    Ok(())
}

fn complained(text: &str) -> Error {
    Error::new(ErrorKind::Unreachable, clean(text.trim()))
}

fn broken(e: tokio_tungstenite::tungstenite::Error) -> Error {
    Error::new(ErrorKind::Unreachable, "the connection broke").caused_by(e)
}

#[cfg(test)]
mod tests;
