//! A network between a client and a server, that is cut when enough has gone through it, or stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::Result;
use crate::model::{Endpoint, Host};

/// Passes on what clients and a server say to each other; the clients reach it at 127.0.0.1. After a number of bytes
/// from the server every connection ends, and new ones are refused; what would be more is not passed on.
pub struct CutProxy {
    endpoint: Endpoint,
    cut: CancellationToken,
    frozen: CancellationToken,
    _accepting: AbortOnDropHandle<()>,
}

impl CutProxy {
    /// A proxy before `server` that lets `bytes` from it through.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn before(server: &Endpoint, bytes: u64) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let endpoint = Endpoint {
            host: Host::Tcp("127.0.0.1".to_owned()),
            port: listener.local_addr()?.port(),
            ..server.clone()
        };
        let cut = CancellationToken::new();
        let frozen = CancellationToken::new();
        let left = Arc::new(AtomicU64::new(bytes));
        let (until, still, server) = (cut.clone(), frozen.clone(), server.clone());
        let accepting = tokio::spawn(async move {
            while let Some(Ok((client, _))) = until.run_until_cancelled(listener.accept()).await {
                let (left, until, server) = (left.clone(), until.clone(), server.clone());
                let still = still.clone();
                tokio::spawn(async move {
                    let passing = pass(client, &server, &left, &until, &still);
                    until.clone().run_until_cancelled(passing).await
                });
            }
        });
        Ok(Self {
            endpoint,
            cut,
            frozen,
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
        self.frozen.cancel();
    }

    /// True once it has cut the network.
    pub fn is_cut(&self) -> bool {
        self.cut.is_cancelled()
    }
}

impl Drop for CutProxy {
    fn drop(&mut self) {
        self.cut.cancel();
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

async fn pass(
    client: TcpStream,
    server: &Endpoint,
    left: &AtomicU64,
    cut: &CancellationToken,
    frozen: &CancellationToken,
) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = reach(server).await?;
    let up = async {
        let mut piece = vec![0; 8 << 10];
        loop {
            let length = from_client.read(&mut piece).await?;
            flows(frozen).await;
            if length == 0 {
                return to_server.shutdown().await;
            }
            to_server.write_all(&piece[..length]).await?;
        }
    };
    let down = async {
        let mut piece = vec![0; 8 << 10];
        loop {
            let length = from_server.read(&mut piece).await?;
            flows(frozen).await;
            if length == 0 {
                return to_client.shutdown().await;
            }
            let sent = length as u64;
            let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(sent)
            });
            if taken.is_err() {
                cut.cancel();
                return Ok(());
            }
            to_client.write_all(&piece[..length]).await?;
        }
    };
    tokio::try_join!(up, down).map(drop)
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
        let proxy = CutProxy::before(&server, 100_000).await.expect("a proxy");
        let session = Session::open(&proxy.endpoint(), "test").await;
        let session = session.expect("a session");
        let letters = "select pg_catalog.repeat('x', $1)";
        let row = session
            .query_one(letters, &[&1000])
            .await
            .expect("answered");
        assert_eq!(row.get::<_, &str>(0).len(), 1000);
        assert!(!proxy.is_cut());
        let cut = session.query_one(letters, &[&1_000_000]).await;
        cut.expect_err("the network is cut");
        assert!(proxy.is_cut());
        let again = Session::open(&proxy.endpoint(), "test").await;
        assert!(again.is_err(), "and stays so");
    }
}
