//! A network before a server, which is cut, falls silent or becomes slow when enough has gone
//! through it one way.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rebuild_core::model::Host;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::world::Target;

/// The way that the bytes go which count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// As the rows of a backup do.
    FromServer,
    /// As the rows of a restore do.
    ToServer,
}

/// What happens then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing: the bytes are only counted.
    None,
    /// Every connection ends; new ones pass.
    Cut,
    /// The connection stays open, and nothing passes any more, either way.
    Silence,
    /// From then on there is a pause after each piece.
    Slow,
}

/// A network. It goes away when dropped, with every connection.
pub struct Wire {
    port: u16,
    state: Arc<State>,
    accepting: AbortHandle,
}

struct State {
    direction: Direction,
    after: u64,
    trouble: Trouble,
    passed: AtomicU64,
    struck: AtomicU64,
    cut: Notify,
}

impl Wire {
    /// One before the target's server, in trouble after so many bytes.
    pub async fn before(
        target: &Target<'_>,
        direction: Direction,
        after: u64,
        trouble: Trouble,
    ) -> Self {
        let at = target.endpoint();
        let Host::Socket(folder) = &at.host else {
            panic!("the endpoint is a socket");
        };
        let socket = folder.join(format!(".s.PGSQL.{}", at.port));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State {
            direction,
            after,
            trouble,
            passed: AtomicU64::new(0),
            struck: AtomicU64::new(0),
            cut: Notify::new(),
        });
        let accepting = tokio::spawn(accept(listener, socket, state.clone()));
        Self {
            port,
            state,
            accepting: accepting.abort_handle(),
        }
    }

    /// The variables by which the program takes this way to the server.
    pub fn variables(&self) -> Vec<(String, String)> {
        let variable = |name: &str, value: String| (name.to_owned(), value);
        vec![
            variable("PGHOST", "127.0.0.1".to_owned()),
            variable("PGPORT", self.port.to_string()),
            variable("PGSSLMODE", "disable".to_owned()),
        ]
    }

    /// How many bytes went the way that counts.
    pub fn passed(&self) -> u64 {
        self.state.passed.load(Ordering::Relaxed)
    }

    /// True if it came to the trouble.
    pub fn struck(&self) -> bool {
        self.state.struck.load(Ordering::Relaxed) > 0
    }

    /// Ends when it has come to the trouble.
    pub async fn silent(&self) {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        while !self.struck() {
            looks.tick().await;
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
        self.state.cut.notify_waiters();
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let (socket, state) = (socket.clone(), state.clone());
        tokio::spawn(async move {
            let cut = state.cut.notified();
            let passing = async {
                let server = UnixStream::connect(socket).await?;
                pass(client, server, &state).await
            };
            tokio::select! {
                _ = passing => {}
                () = cut => {}
            }
        });
    }
}

async fn pass(client: TcpStream, server: UnixStream, state: &State) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = carry(&mut from_client, &mut to_server, Direction::ToServer, state);
    let down = carry(
        &mut from_server,
        &mut to_client,
        Direction::FromServer,
        state,
    );
    tokio::try_join!(up, down).map(drop)
}

async fn carry(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    direction: Direction,
    state: &State,
) -> std::io::Result<()> {
    let mut piece = vec![0; 4 << 10];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        if direction == state.direction {
            let passed = state.passed.fetch_add(length as u64, Ordering::Relaxed);
            if passed + length as u64 > state.after {
                trouble(state).await;
            }
        }
        to.write_all(&piece[..length]).await?;
    }
}

async fn trouble(state: &State) {
    let before = state.struck.fetch_add(1, Ordering::Relaxed);
    match state.trouble {
        Trouble::None => {}
        Trouble::Slow => tokio::time::sleep(Duration::from_millis(2)).await,
        // Those that are made afterwards pass.
        Trouble::Cut if before == 0 => state.cut.notify_waiters(),
        Trouble::Cut => {}
        // The first connection that comes here; a server is not gone because one of them is.
        Trouble::Silence if before == 0 => std::future::pending().await,
        Trouble::Silence => {}
    }
}
