//! Commands in containers, and what containers print.
//!
//! Channels: 0 input, 1 output, 2 errors, 3 how it ended. In the fifth version of the protocol a
//! message on channel 255 closes the channel that it names.

use std::ffi::OsString;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdin;

use super::websocket::{self, Receiver, Sender};
use super::{container, of_container};
use crate::node::{self, Pod};
use crate::server::{Body, Line, Query};
use crate::state::State;
use crate::status::{ApiError, Result};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const CLOSE: u8 = 255;
/// How often a command looks whether its container still runs.
const LOOK: Duration = Duration::from_millis(20);
const PROTOCOLS: &[&str] = &["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// Runs a command beside a container's program.
pub(super) fn start(
    state: &Arc<State>,
    line: &Arc<Line>,
    query: &Query,
    object: &Value,
    pod: &Arc<Pod>,
    request: &mut Request<Incoming>,
) -> Result<Response<Body>> {
    let name = container(object, query)?;
    let argv: Vec<OsString> = query.all("command").map(OsString::from).collect();
    if argv.is_empty() {
        return Err(ApiError::bad_request(
            "you must specify at least 1 command for the container",
        ));
    }
    let running = of_container(pod, &name, |run| Some((run.group?, run.program.clone()?)));
    let (beside, (program, around)) = running.flatten().ok_or_else(|| {
        ApiError::new(
            500,
            "InternalError",
            format!("container not found (\"{name}\")"),
        )
    })?;
    let mut command = node::command(&program, &around, &argv);
    if query.flag("stdin") {
        command.stdin(Stdio::piped());
    }
    let wants = (query.flag("stdout"), query.flag("stderr"));
    let pod = pod.clone();
    let serve = move |protocol: &str, sender: Sender, receiver| {
        let closes = protocol.starts_with("v5");
        async move {
            let status = match command.spawn() {
                Ok(child) => {
                    let gone = until_gone(&pod, &name, beside);
                    run(child, closes, wants, &sender, receiver, gone).await
                }
                Err(error) => {
                    let shown = argv.first().map(|word| word.to_string_lossy().into_owned());
                    let message = format!(
                        "error executing command in container: exec: \"{}\": {error}",
                        shown.unwrap_or_default()
                    );
                    Some(json!({
                        "metadata": {}, "status": "Failure", "reason": "InternalError",
                        "message": message, "code": 500,
                    }))
                }
            };
            if let Some(status) = status {
                sender.send(STATUS, status.to_string().as_bytes()).await;
            }
            sender.close().await;
        }
    };
    websocket::accept(state, line, request, PROTOCOLS, serve)
}

/// Waits until the program that a command was started beside has ended.
async fn until_gone(pod: &Pod, container: &str, group: u32) {
    while of_container(pod, container, |run| run.group) == Some(Some(group)) {
        tokio::time::sleep(LOOK).await;
    }
}

/// Carries the streams of a command until it has ended, which it has at the latest when its
/// container has `gone`. Nothing if the client went first.
async fn run(
    mut child: tokio::process::Child,
    closes: bool,
    wants: (bool, bool),
    sender: &Sender,
    mut receiver: Receiver,
    gone: impl Future<Output = ()>,
) -> Option<Value> {
    let group = child.id();
    // A command that the client has left is not left running.
    let _killed = node::KilledOnDrop(group);
    let input = child.stdin.take();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let end = async {
        tokio::join!(
            carry(out, wants.0.then_some(STDOUT), sender),
            carry(err, wants.1.then_some(STDERR), sender),
        );
        child.wait().await
    };
    let kill = async {
        gone.await;
        group.into_iter().for_each(node::kill);
        std::future::pending::<()>().await;
    };
    let status = tokio::select! {
        status = end => status.ok(),
        () = feed(input, closes, &mut receiver) => None,
        () = kill => None,
    };
    Some(ended(node::exit_code(status?)))
}

/// Gives the client's bytes to the command. Ends when the client has gone.
async fn feed(mut input: Option<ChildStdin>, closes: bool, receiver: &mut Receiver) {
    while let Some((channel, bytes)) = receiver.next().await {
        if channel == STDIN
            && let Some(open) = &mut input
            && open.write_all(&bytes).await.is_err()
        {
            input = None;
        } else if closes && channel == CLOSE && bytes == [STDIN] {
            input = None;
        }
    }
}

async fn carry(output: Option<impl AsyncRead + Unpin>, channel: Option<u8>, sender: &Sender) {
    let Some(mut output) = output else { return };
    let mut buffer = vec![0; 32 * 1024];
    while let Ok(count) = output.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        if let Some(channel) = channel
            && !sender.send(channel, &buffer[..count]).await
        {
            return;
        }
    }
}

fn ended(code: i32) -> Value {
    if code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}

/// Shows what a container prints from now on.
pub(super) fn attach(
    state: &Arc<State>,
    line: &Arc<Line>,
    query: &Query,
    object: &Value,
    pod: &Arc<Pod>,
    request: &mut Request<Incoming>,
) -> Result<Response<Body>> {
    let name = container(object, query)?;
    let log = of_container(pod, &name, |run| run.log.clone());
    let log = log.ok_or_else(|| ApiError::bad_request(format!("container {name} does not run")))?;
    let mut next = log.from(0).0.len();
    let pod = pod.clone();
    let serve = move |_: &str, sender: Sender, mut receiver: Receiver| async move {
        let mut changed = log.subscribe();
        let print = async {
            loop {
                changed.borrow_and_update();
                let (lines, open) = log.from(next);
                next += lines.len();
                for line in lines {
                    let channel = if line.is_error { STDERR } else { STDOUT };
                    if !sender.send(channel, &line.bytes).await {
                        return;
                    }
                }
                if !open || changed.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = print => {}
            () = async { while receiver.next().await.is_some() {} } => return,
        }
        let code = of_container(&pod, &name, crate::node::Run::exit_code).flatten();
        let code = i32::try_from(code.unwrap_or(0)).unwrap_or(255);
        sender
            .send(STATUS, ended(code).to_string().as_bytes())
            .await;
        sender.close().await;
    };
    websocket::accept(state, line, request, PROTOCOLS, serve)
}
