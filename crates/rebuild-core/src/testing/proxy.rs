//! A network between a client and a server, that gets into trouble when enough has gone through it, or stands
//! still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::Result;
use crate::model::{Endpoint, Host};

/// The way that the bytes go which count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// As the rows of a backup do.
    FromServer,
    /// As the rows of a restore do.
    ToServer,
}

/// What happens when enough bytes went that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Every connection ends; new ones pass. What would be more is not passed on.
    Cut,
    /// The same, and new ones are refused.
    End,
    /// The connection of those bytes stays open, and they are not passed on, nor what comes after them.
    Silence,
    /// From then on there is a pause after each piece.
    Slow,
}

/// Passes on what clients and a server say to each other; the clients reach it at 127.0.0.1.
pub struct Network {
    endpoint: Endpoint,
    state: Arc<State>,
    _accepting: AbortOnDropHandle<()>,
}

struct State {
    server: Endpoint,
    direction: Direction,
    after: u64,
    trouble: Trouble,
    passed: AtomicU64,
    struck: AtomicBool,
    reached: CancellationToken,
    cut: Notify,
    ended: CancellationToken,
    frozen: CancellationToken,
}

impl Network {
    /// One before `server` that ends when so many bytes have come from it.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn before(server: &Endpoint, bytes: u64) -> Result<Self> {
        Self::in_trouble(server, Direction::FromServer, bytes, Trouble::End).await
    }

    /// One before `server` that is in trouble after so many bytes.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn in_trouble(
        server: &Endpoint,
        direction: Direction,
        after: u64,
        trouble: Trouble,
    ) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = Endpoint {
            host: Host::Tcp("127.0.0.1".to_owned()),
            port: listener.local_addr()?.port(),
            ..server.clone()
        };
        let state = Arc::new(State {
            server: server.clone(),
            direction,
            after,
            trouble,
            passed: AtomicU64::new(0),
            struck: AtomicBool::new(false),
            reached: CancellationToken::new(),
            cut: Notify::new(),
            ended: CancellationToken::new(),
            frozen: CancellationToken::new(),
        });
        let accepting = tokio::spawn(accept(listener, state.clone()));
        Ok(Self {
            endpoint,
            state,
            _accepting: AbortOnDropHandle::new(accepting),
        })
    }

    /// Where the server is reached through it.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// From now on nothing goes through, either way, and no connection ends: as if the client were stopped or
    /// asleep, or its machine gone.
    pub fn freeze(&self) {
        self.state.frozen.cancel();
    }

    /// How many bytes went the way that counts.
    pub fn passed(&self) -> u64 {
        self.state.passed.load(Ordering::Relaxed)
    }

    /// True once it came to the trouble.
    pub fn is_struck(&self) -> bool {
        self.state.reached.is_cancelled()
    }

    /// Ends when it comes to the trouble.
    pub async fn struck(&self) {
        self.state.reached.cancelled().await;
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.state.ended.cancel();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let until = state.ended.clone();
    while let Some(Ok((client, _))) = until.run_until_cancelled(listener.accept()).await {
        let state = state.clone();
        tokio::spawn(async move {
            let cut = state.cut.notified();
            tokio::select! {
                _ = pass(client, &state) => {}
                () = cut => {}
                () = state.ended.cancelled() => {}
            }
        });
    }
}

type From = Box<dyn AsyncRead + Send + Unpin>;
type To = Box<dyn AsyncWrite + Send + Unpin>;

async fn reach(server: &Endpoint) -> std::io::Result<(From, To)> {
    match &server.host {
        Host::Tcp(host) => {
            let stream = TcpStream::connect((host.as_str(), server.port)).await?;
            let (from, to) = stream.into_split();
            Ok((Box::new(from), Box::new(to)))
        }
        Host::Socket(folder) => {
            let socket = folder.join(format!(".s.PGSQL.{}", server.port));
            let (from, to) = UnixStream::connect(socket).await?.into_split();
            Ok((Box::new(from), Box::new(to)))
        }
    }
}

async fn pass(client: TcpStream, state: &State) -> std::io::Result<()> {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = reach(&state.server).await?;
    let up = carry(from_client, to_server, Direction::ToServer, state);
    let down = carry(from_server, to_client, Direction::FromServer, state);
    tokio::try_join!(up, down).map(drop)
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
    state: &State,
) -> std::io::Result<()> {
    let mut piece = vec![0; 8 << 10];
    loop {
        let length = from.read(&mut piece).await?;
        flows(&state.frozen).await;
        if length == 0 {
            return to.shutdown().await;
        }
        if direction == state.direction {
            let before = state.passed.fetch_add(length as u64, Ordering::Relaxed);
            if before + length as u64 > state.after {
                strike(state).await;
            }
        }
        to.write_all(&piece[..length]).await?;
    }
}

/// Does not return where the piece is not to be passed on.
async fn strike(state: &State) {
    let first = !state.struck.swap(true, Ordering::Relaxed);
    state.reached.cancel();
    match state.trouble {
        Trouble::Slow => return tokio::time::sleep(Duration::from_millis(2)).await,
        // A server is not gone because one of the connections to it is.
        Trouble::Cut | Trouble::Silence if !first => return,
        Trouble::Cut => state.cut.notify_waiters(),
        Trouble::End => state.ended.cancel(),
        Trouble::Silence => {}
    }
    std::future::pending().await
}

/// Returns at once while the network flows, and never once it stands still.
async fn flows(frozen: &CancellationToken) {
    if frozen.is_cancelled() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::{LocalCluster, Session};
    use crate::testing::cluster_options;

    #[tokio::test]
    async fn a_session_lives_until_the_cut() {
        let cluster = LocalCluster::start(&cluster_options())
            .await
            .expect("a server");
        let server = cluster.endpoint("postgres");
        let proxy = Network::before(&server, 100_000).await.expect("a proxy");
        let session = Session::open(&proxy.endpoint(), "test").await;
        let session = session.expect("a session");
        let letters = "select pg_catalog.repeat('x', $1)";
        let row = session
            .query_one(letters, &[&1000])
            .await
            .expect("answered");
        assert_eq!(row.get::<_, &str>(0).len(), 1000);
        assert!(!proxy.is_struck());
        let cut = session.query_one(letters, &[&1_000_000]).await;
        cut.expect_err("the network is cut");
        assert!(proxy.is_struck());
        let again = Session::open(&proxy.endpoint(), "test").await;
        assert!(again.is_err(), "and stays so");
    }
}
