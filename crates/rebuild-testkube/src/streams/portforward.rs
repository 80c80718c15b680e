//! Port-forwards: for each port a channel of bytes and one of errors.
//! The first message of each channel is the number of its port.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;

use super::websocket::{self, Receiver, Sender};
use crate::node::{Address, Pod};
use crate::server::{Body, Line, Query};
use crate::state::{State, lock};
use crate::status::{ApiError, Result};

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Bytes on their way to the pod wait for its program in at most so many messages.
const QUEUE: usize = 16;

pub(super) fn start(
    state: &Arc<State>,
    line: &Arc<Line>,
    query: &Query,
    pod: &Arc<Pod>,
    request: &mut Request<Incoming>,
) -> Result<Response<Body>> {
    let ports: Vec<u16> = query
        .all("ports")
        .flat_map(|ports| ports.split(','))
        .filter_map(|port| port.parse().ok())
        .collect();
    if ports.is_empty() {
        return Err(ApiError::bad_request(
            "query parameter \"ports\" is required",
        ));
    }
    let pod = pod.clone();
    websocket::accept(
        state,
        line,
        request,
        &["v4.channel.k8s.io"],
        move |_, sender, receiver| async move { serve(&pod, &ports, sender, receiver).await },
    )
}

async fn serve(pod: &Pod, ports: &[u16], sender: Sender, mut receiver: Receiver) {
    let mut inputs = BTreeMap::new();
    let mut forwards = Vec::new();
    for (port, channel) in ports.iter().zip((0_u8..).step_by(2)) {
        for channel in [channel, channel + 1] {
            if !sender.send(channel, &port.to_le_bytes()).await {
                return;
            }
        }
        let (input, bytes) = mpsc::channel(QUEUE);
        inputs.insert(channel, input);
        forwards.push(forward(pod, *port, channel, sender.clone(), bytes));
    }
    let receive = async {
        while let Some((channel, bytes)) = receiver.next().await {
            if let Some(input) = inputs.get(&channel) {
                // A program that has gone takes no more bytes; its channel of errors says so.
                let _ = input.send(bytes).await;
            }
        }
        drop(inputs);
    };
    tokio::select! {
        () = receive => {}
        _ = join_all(forwards) => {}
    }
    sender.close().await;
}

/// Carries the bytes of one port both ways until its program closes the connection.
async fn forward(
    pod: &Pod,
    port: u16,
    channel: u8,
    sender: Sender,
    mut input: mpsc::Receiver<Vec<u8>>,
) {
    let connected = match address(pod, port) {
        Some(Address::Tcp(address)) => TcpStream::connect(address).await.map(|stream| {
            let _ = stream.set_nodelay(true);
            let (read, write) = stream.into_split();
            (Box::new(read) as Reader, Box::new(write) as Writer)
        }),
        Some(Address::Unix(path)) => UnixStream::connect(path).await.map(|stream| {
            let (read, write) = stream.into_split();
            (Box::new(read) as Reader, Box::new(write) as Writer)
        }),
        None => Err(std::io::ErrorKind::ConnectionRefused.into()),
    };
    let (mut read, mut write) = match connected {
        Ok(halves) => halves,
        Err(error) => {
            let message = format!(
                "error forwarding port {port} to pod {}, uid : failed to connect to localhost:{port}: {error}",
                pod.uid
            );
            sender.send(channel + 1, message.as_bytes()).await;
            return;
        }
    };
    let to_pod = async {
        while let Some(bytes) = input.recv().await {
            if write.write_all(&bytes).await.is_err() {
                break;
            }
        }
        // What the program still says is carried.
        std::future::pending::<()>().await;
    };
    let from_pod = async {
        let mut buffer = vec![0; 32 * 1024];
        while let Ok(count) = read.read(&mut buffer).await {
            if count == 0 || !sender.send(channel, &buffer[..count]).await {
                break;
            }
        }
    };
    tokio::select! {
        () = to_pod => {}
        () = from_pod => {}
    }
}

/// Where the program that serves a port of the pod listens.
fn address(pod: &Pod, port: u16) -> Option<Address> {
    let runs = lock(&pod.runs);
    let programs = runs.iter().filter(|run| run.group.is_some());
    let mut programs = programs.filter_map(|run| run.program.as_ref());
    programs.find_map(|(program, _)| program.ports.get(&port).cloned())
}
