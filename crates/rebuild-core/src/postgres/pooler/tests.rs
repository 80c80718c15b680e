//! Against a server, and through a pooler in transaction mode.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::*;
use crate::model::{Endpoint, Host, Obstacle};
use crate::postgres::inventory;
use crate::testing::cluster;

#[tokio::test]
async fn a_server_is_no_pooler() {
    let cluster = cluster().await.expect("cluster");
    let session = Session::open(&cluster.endpoint("postgres"), "test")
        .await
        .expect("session");
    assert!(!looks_pooled(&session).await.expect("known"));
    let found = inventory(&session).await.expect("inventory");
    assert_eq!(found.obstacles, []);
    assert_eq!(found.sessions, []);
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_noticed_however_it_deals() {
    let cluster = cluster().await.expect("cluster");
    let direct = cluster.endpoint("postgres");
    for (processes, in_turn) in [(1, false), (2, false), (2, true), (3, true)] {
        let pooler = Pooler::start(&direct, processes, in_turn).await;
        let session = Session::open(&pooler.endpoint, "test")
            .await
            .expect("session");
        let pooled = looks_pooled(&session).await.expect("known");
        assert!(pooled, "{processes} processes, in turn: {in_turn}");
    }
    let pooler = Pooler::start(&direct, 1, false).await;
    let session = Session::open(&pooler.endpoint, "test")
        .await
        .expect("session");
    let found = inventory(&session).await.expect("inventory");
    assert_eq!(found.obstacles, [Obstacle::Pooler]);

    let pooler = Pooler::start(&direct, 3, true).await;
    let session = Session::open(&pooler.endpoint, "test")
        .await
        .expect("session");
    let error = inventory(&session).await.expect_err("statements get lost");
    assert!(
        error.advice().is_some_and(|hint| hint.contains("pooler")),
        "{error:?}"
    );
}

/// Deals out the transactions of any number of clients to a few connections of its own. It stops
/// when it is dropped.
struct Pooler {
    endpoint: Endpoint,
    _tasks: JoinSet<()>,
}

/// One message as it is on the wire: its type, if it has one, its length, and the rest.
struct Message {
    kind: u8,
    bytes: Vec<u8>,
}

const QUERY: u8 = b'Q';
const READY: u8 = b'Z';
const SYNC: u8 = b'S';
const TERMINATE: u8 = b'X';

/// A connection to the server that is free or lent, and what it said at login.
struct Server {
    stream: UnixStream,
    greeting: Vec<u8>,
}

impl Pooler {
    async fn start(direct: &Endpoint, processes: usize, in_turn: bool) -> Self {
        let Host::Socket(dir) = &direct.host else {
            panic!("the cluster listens on a socket")
        };
        let socket = dir.join(format!(".s.PGSQL.{}", direct.port));
        let mut servers = Vec::new();
        for _ in 0..processes {
            servers.push(Server::login(&socket, direct).await);
        }
        let free = Arc::new(Mutex::new(servers));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("port");
        let port = listener.local_addr().expect("address").port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("client");
                clients.spawn(serve(client, Arc::clone(&free), in_turn));
            }
        });
        Self {
            endpoint: Endpoint {
                host: Host::Tcp("127.0.0.1".to_owned()),
                port,
                ..direct.clone()
            },
            _tasks: tasks,
        }
    }
}

impl Server {
    async fn login(socket: &PathBuf, endpoint: &Endpoint) -> Self {
        let mut stream = UnixStream::connect(socket).await.expect("server");
        let mut body = 196_608_i32.to_be_bytes().to_vec();
        for word in ["user", &endpoint.user, "database", &endpoint.database, ""] {
            body.extend_from_slice(word.as_bytes());
            body.push(0);
        }
        let length = i32::try_from(body.len() + 4).expect("short");
        stream.write_all(&length.to_be_bytes()).await.expect("sent");
        stream.write_all(&body).await.expect("sent");
        let mut greeting = Vec::new();
        loop {
            let message = read(&mut stream, true).await.expect("greeting");
            greeting.extend_from_slice(&message.bytes);
            if message.kind == READY {
                return Self { stream, greeting };
            }
        }
    }
}

/// One client, until it leaves.
async fn serve(mut client: TcpStream, free: Arc<Mutex<Vec<Server>>>, in_turn: bool) {
    read(&mut client, false).await.expect("startup");
    let greeting = free.lock().await[0].greeting.clone();
    client.write_all(&greeting).await.expect("greeted");
    while let Some(first) = read(&mut client, true).await {
        if first.kind == TERMINATE {
            return;
        }
        // Whole transactions take turns; that they never overlap does no harm here.
        let mut free = free.lock().await;
        let mut server = free.remove(0);
        transaction(&mut client, &mut server.stream, first).await;
        let place = if in_turn { free.len() } else { 0 };
        free.insert(place, server);
    }
}

async fn transaction(client: &mut TcpStream, server: &mut UnixStream, first: Message) {
    let mut next = Some(first);
    loop {
        let message = match next.take() {
            Some(message) => message,
            None => read(client, true).await.expect("the rest of a transaction"),
        };
        server.write_all(&message.bytes).await.expect("passed on");
        if ![QUERY, SYNC].contains(&message.kind) {
            continue;
        }
        let idle = loop {
            let answer = read(server, true).await.expect("answer");
            client.write_all(&answer.bytes).await.expect("passed back");
            if answer.kind == READY {
                break answer.bytes.last() == Some(&b'I');
            }
        };
        if idle {
            return;
        }
    }
}

/// The next message, or nothing at the end. A startup message has no type.
async fn read<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, typed: bool) -> Option<Message> {
    let mut bytes = Vec::new();
    let mut kind = 0;
    if typed {
        kind = stream.read_u8().await.ok()?;
        bytes.push(kind);
    }
    let length = stream.read_i32().await.ok()?;
    bytes.extend_from_slice(&length.to_be_bytes());
    let start = bytes.len();
    bytes.resize(start + usize::try_from(length).expect("length") - 4, 0);
    stream.read_exact(&mut bytes[start..]).await.ok()?;
    Some(Message { kind, bytes })
}
