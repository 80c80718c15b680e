//! Programs that stand for containers.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};
use tokio::process::Command;

use super::environment::expand;
use super::{Address, Container, Program, Ready};
use crate::object::{items, name, namespace, text};

/// How often a container that is not ready is looked at.
const PROBE: Duration = Duration::from_millis(50);

/// A command of this machine with a container's environment, user and folder, in a process group
/// of its own. It is killed when its handle is dropped.
pub(crate) fn command(program: &Program, container: &Container, argv: &[OsString]) -> Command {
    let mut words: Vec<&OsStr> = Vec::new();
    let (uid, gid);
    if let Some(user) = program.user
        && rustix::process::geteuid().is_root()
    {
        uid = OsString::from(format!("--reuid={}", user.0));
        gid = OsString::from(format!("--regid={}", user.1));
        words.extend([
            OsStr::new("setpriv"),
            &uid,
            &gid,
            OsStr::new("--clear-groups"),
            OsStr::new("--"),
        ]);
    }
    words.extend(argv.iter().map(OsString::as_os_str));
    let (first, rest) = words
        .split_first()
        .map_or((OsStr::new("false"), &[][..]), |(first, rest)| {
            (*first, rest)
        });
    let mut command = Command::new(first);
    command.args(rest).env_clear();
    for name in ["PATH", "LANG", "TZ"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("HOSTNAME", &container.pod)
        .env("HOME", "/tmp")
        .envs(&program.env)
        .envs(&container.env)
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match &program.cwd {
        Some(folder) => command.current_dir(folder),
        None => command.current_dir("/"),
    };
    command
}

/// Asks a program to end. What it started hears of it from the program, as in a container.
pub(super) fn terminate(id: u32) {
    if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have ended in the meantime.
        let _ = kill_process(id, Signal::TERM);
    }
}

/// Kills a program and all that it started.
pub(crate) fn kill(group: u32) {
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        // It may have ended in the meantime.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// A program that is killed with all that it started when this goes, however that comes about.
pub(crate) struct KilledOnDrop(pub(crate) Option<u32>);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            kill(group);
        }
    }
}

/// The code of a program that has ended, as container runtimes give it.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    let signalled = status.signal().map(|signal| 128 + signal);
    status.code().or(signalled).unwrap_or(255)
}

/// Ends when the container is ready.
pub(super) async fn until_ready(program: &Program, container: &Container) {
    loop {
        let ready = match &program.ready {
            Ready::AtOnce => true,
            Ready::Accepts(address) => match address {
                Address::Tcp(address) => TcpStream::connect(address).await.is_ok(),
                Address::Unix(path) => UnixStream::connect(path).await.is_ok(),
            },
            Ready::Command(argv) => succeeds(program, container, argv).await,
        };
        if ready {
            return;
        }
        tokio::time::sleep(PROBE).await;
    }
}

async fn succeeds(program: &Program, container: &Container, argv: &[OsString]) -> bool {
    let mut command = command(program, container, argv);
    let status: io::Result<ExitStatus> = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    status.is_ok_and(|status| status.success())
}

/// The program that an image runs, told of the container it stands for.
pub(super) fn container(
    pod: &Value,
    spec: &Value,
    variables: BTreeMap<String, String>,
    folders: &BTreeMap<String, PathBuf>,
) -> Container {
    let words = |pointer: &str| {
        let words = items(spec, pointer).iter().filter_map(|word| word.as_str());
        words.map(|word| expand(word, &variables)).collect()
    };
    let mount = |mount: &Value| {
        let folder = folders.get(text(mount, "/name"))?;
        let sub = text(mount, "/subPath");
        let folder = if sub.is_empty() {
            folder.clone()
        } else {
            folder.join(sub)
        };
        Some((text(mount, "/mountPath").to_owned(), folder))
    };
    let labels = pod["metadata"]["labels"].as_object().into_iter().flatten();
    let labels =
        labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
    let ports = items(spec, "/ports").iter();
    let ports = ports.filter_map(|port| u16::try_from(port["containerPort"].as_u64()?).ok());
    Container {
        pod: name(pod).to_owned(),
        namespace: namespace(pod).to_owned(),
        labels: labels.collect(),
        name: text(spec, "/name").to_owned(),
        image: text(spec, "/image").to_owned(),
        command: words("/command"),
        args: words("/args"),
        mounts: items(spec, "/volumeMounts")
            .iter()
            .filter_map(mount)
            .collect(),
        ports: ports.collect(),
        env: variables,
    }
}
