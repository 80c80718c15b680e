//! A Kubernetes API server and its node inside the process of a test.
//!
//! [`Cluster::start`] gives a server that real clients speak to: `kubectl`, `kube` and the Python
//! client. Objects have versions, watches, owners of fields, finalizers and controllers as in a
//! real cluster; containers are programs of this machine. It is a model, not a copy: what it
//! answers is what the real server answers, and what it does not have it does not pretend to have.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use rebuild_testkube::{Cluster, Program};
//!
//! let cluster = Cluster::start().await?;
//! cluster.image("echo:1", |container| {
//!     Program::new(["sh", "-c", "echo \"I am $POD\""]).env("POD", &container.pod)
//! });
//! println!("kubectl --kubeconfig {}", cluster.kubeconfig().display());
//! # Ok(())
//! # }
//! ```

mod access;
mod clock;
mod cluster;
mod controllers;
mod events;
mod fault;
mod node;
mod object;
mod postgres;
mod resources;
mod selector;
mod server;
mod state;
mod status;
mod store;
mod streams;
mod write;

pub use crate::cluster::{Cluster, ClusterOptions};
pub use crate::fault::{Fault, FaultHandle, Strike};
pub use crate::node::{Address, Container, Program, Ready};
pub use crate::postgres::PostgresImage;
pub use crate::state::Request;
