//! What a container is on this machine: a program.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What an image is asked to run as.
#[derive(Debug, Clone, Default)]
pub struct Container {
    /// The name of the pod.
    pub pod: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's labels.
    pub labels: BTreeMap<String, String>,
    /// The name of the container in the pod.
    pub name: String,
    /// Its image.
    pub image: String,
    /// The manifest's `command` with `$(VAR)` expanded; empty means the image's own.
    pub command: Vec<String>,
    /// The manifest's `args` with `$(VAR)` expanded.
    pub args: Vec<String>,
    /// The manifest's environment with all references resolved.
    pub env: BTreeMap<String, String>,
    /// The folder of this machine behind each mount, by its path in the container.
    pub mounts: BTreeMap<String, PathBuf>,
    /// The numbers of the ports that the manifest declares.
    pub ports: Vec<u16>,
}

/// A program of this machine that stands for a container.
#[derive(Debug, Clone)]
pub struct Program {
    pub(crate) argv: Vec<OsString>,
    pub(crate) env: BTreeMap<String, OsString>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) user: Option<(u32, u32)>,
    pub(crate) ports: BTreeMap<u16, Address>,
    pub(crate) ready: Ready,
}

/// Where a program listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP address of this machine.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// When a container is ready.
#[derive(Debug, Clone)]
pub enum Ready {
    /// As soon as its program runs.
    AtOnce,
    /// When connections to this address are accepted.
    Accepts(Address),
    /// When this command, run with the container's environment, ends with 0.
    Command(Vec<OsString>),
}

impl Program {
    /// A program and its arguments. It runs with the container's environment, `PATH` and little
    /// else.
    pub fn new<S: Into<OsString>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            cwd: None,
            user: None,
            ports: BTreeMap::new(),
            ready: Ready::AtOnce,
        }
    }

    /// Adds a variable to its environment, before those of the container.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// The folder it runs in.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = Some(folder.into());
        self
    }

    /// The user and group it runs as, if the test runs as root: servers such as PostgreSQL refuse
    /// to be root. The folders of its mounts are given to that user.
    #[must_use]
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.user = Some((uid, gid));
        self
    }

    /// Says what is behind a port of the container: what a port-forward to it reaches.
    #[must_use]
    pub fn port(mut self, port: u16, address: Address) -> Self {
        self.ports.insert(port, address);
        self
    }

    /// Says when it is ready; without this, as soon as it runs.
    #[must_use]
    pub fn ready(mut self, ready: Ready) -> Self {
        self.ready = ready;
        self
    }
}
