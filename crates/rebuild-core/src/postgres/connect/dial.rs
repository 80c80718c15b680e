//! From an endpoint to a stream of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::failure::dial_error;
use super::peer;
use crate::error::Result;
use crate::model::{Endpoint, Host};

/// When a peer that went away without a word is noticed: after this long of silence, then after
/// [`KEEPALIVE_RETRIES`] unanswered questions, [`KEEPALIVE_INTERVAL`] apart. Until then a dead
/// connection would hold its locks.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// How long what was sent may stay unacknowledged, in milliseconds.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: u32 = 60_000;

/// A stream to a server.
pub(in crate::postgres) enum Wire {
    /// Over a network, or within this machine as if over one.
    Tcp(TcpStream),
    /// Through a Unix socket.
    Unix(UnixStream),
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Reaches the server of `endpoint`. Whoever listens on a Unix socket is a user who is trusted
/// there.
///
/// # Errors
/// The server cannot be reached; somebody else listens on the socket.
pub(in crate::postgres) async fn dial(endpoint: &Endpoint) -> Result<Wire> {
    let failed = |e| dial_error(endpoint, &e);
    match &endpoint.host {
        Host::Socket(dir) => {
            let path = dir.join(format!(".s.PGSQL.{}", endpoint.port));
            let stream = UnixStream::connect(&path).await.map_err(failed)?;
            let peer = stream.peer_cred().map_err(failed)?;
            peer::check(endpoint, dir, peer.uid())?;
            Ok(Wire::Unix(stream))
        }
        Host::Tcp(host) => {
            let reached = match endpoint.hostaddr {
                Some(address) => TcpStream::connect((address, endpoint.port)).await,
                None => TcpStream::connect((host.clone(), endpoint.port)).await,
            };
            let stream = reached.map_err(failed)?;
            noticing_silence(&stream).map_err(failed)?;
            Ok(Wire::Tcp(stream))
        }
    }
}

fn noticing_silence(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_RETRIES)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED)?;
    Ok(())
}
