//! Copies that must not come to their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;

use super::*;
use crate::model::Host;

/// Stands between a client and the server; after a number of bytes from the server it cuts every
/// connection, and takes no other.
struct Proxy {
    endpoint: Endpoint,
    left: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    async fn start(direct: &Endpoint, bytes: u64) -> Self {
        let Host::Socket(dir) = &direct.host else {
            panic!("the cluster listens on a socket")
        };
        let socket = dir.join(format!(".s.PGSQL.{}", direct.port));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let left = Arc::new(AtomicU64::new(bytes));
        let mut tasks = JoinSet::new();
        let counter = left.clone();
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            while counter.load(Ordering::SeqCst) > 0 {
                let (client, _) = listener.accept().await.expect("a client");
                let server = UnixStream::connect(&socket).await.expect("the server");
                clients.spawn(pass(client, server, counter.clone()));
            }
        });
        Self {
            endpoint: Endpoint {
                host: Host::Tcp("127.0.0.1".to_owned()),
                port,
                ..direct.clone()
            },
            left,
            _tasks: tasks,
        }
    }
}

async fn pass(client: TcpStream, server: UnixStream, left: Arc<AtomicU64>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asked = tokio::io::copy(&mut from_client, &mut to_server);
    let answered = async {
        let mut bytes = vec![0; 16384];
        while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
            let read_bytes = read as u64;
            let take = |left: u64| Some(left.saturating_sub(read_bytes));
            let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
            if before.expect("always some") <= read_bytes
                || to_client.write_all(&bytes[..read]).await.is_err()
            {
                break;
            }
        }
    };
    tokio::select! {
        _ = asked => {}
        () = answered => {}
    }
}

const ROWS: &str = "
    create table public.t (id int primary key, x text);
    insert into public.t
      select i, repeat('x', 1000) from pg_catalog.generate_series(1, 20000) i";

#[tokio::test]
async fn a_connection_that_is_cut_leaves_no_target() {
    let world = World::new().await;
    let direct = world.source(ROWS).await;
    let from = identity(&direct).await;
    let proxy = Proxy::start(&direct, 5 << 20).await;
    let copying = world.copying(&proxy.endpoint, from).await;
    let copied = tokio::time::timeout(Duration::from_secs(120), copying.straight(&world.ctx));
    let error = copied.await.expect("in time").expect_err("it was cut");
    assert_eq!(proxy.left.load(Ordering::SeqCst), 0, "{}", error.chain());
    assert_ne!(error.kind(), ErrorKind::Internal, "{}", error.chain());
    assert_eq!(world.made().await, Vec::<String>::new());
    // The source is as it was, and can be copied.
    world.copy(&direct).await.expect("copied");
    world.assert_same(&direct).await;
}

#[tokio::test]
async fn a_table_that_is_truncated_after_the_snapshot_is_not_copied_as_empty() {
    let world = World::new().await;
    let source = world.source(ROWS).await;
    let writer = Session::open(&source, "test").await.expect("session");
    let sql = "begin; truncate public.t";
    writer.batch_execute(sql).await.expect("truncated");
    let truncated = async {
        let watch = Session::open(&source, "test").await.expect("session");
        let sql = "select exists (select from pg_catalog.pg_locks
                                   where not granted and relation = 'public.t'::regclass)";
        let waiting = async {
            while !watch
                .query_one(sql, &[])
                .await
                .expect("locks")
                .get::<_, bool>(0)
            {
                tokio::task::yield_now().await;
            }
        };
        let waiting = tokio::time::timeout(Duration::from_secs(30), waiting);
        waiting.await.expect("the copy waits for the table");
        writer.batch_execute("commit").await.expect("committed");
    };
    let ((), copied) = tokio::join!(truncated, world.copy(&source));
    let error = copied.expect_err("the snapshot is of no use");
    assert!(error.is_refusal(), "{error:?}");
    assert!(error.to_string().contains("public.t"), "{error:?}");
    assert_eq!(world.made().await, Vec::<String>::new());
}
