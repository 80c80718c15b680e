//! A port of a pod, as a port of this machine.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::Cluster;
use super::failure::api_error;
use super::pods::{is_ready, phase};
use super::tunnel::{self, Through};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;

/// How long it may take until the pod's port answers.
const OPEN_WITHIN: Duration = Duration::from_secs(20);

/// How many connections are opened at the same time. API servers let few through at once.
const OPENING: usize = 8;

/// Which pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodChoice {
    /// The one ready pod with these labels, for example `app=postgres,role=primary`; the port is
    /// the container's.
    Labels {
        /// The selector.
        selector: String,
        /// The port.
        port: u16,
    },
    /// The one ready pod behind a Service; the port is the Service's.
    Service {
        /// The Service.
        name: String,
        /// The port.
        port: u16,
    },
}

impl PodChoice {
    /// `service/postgres`, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Labels { selector, .. } => format!("the pod with {selector}"),
            Self::Service { name, .. } => format!("service/{name}"),
        }
    }
}

/// A port of 127.0.0.1 whose connections go through the API server to a port of a pod.
///
/// Each connection looks for the pod anew, so one that was replaced is found. Dropping it ends
/// every connection.
pub struct Forward {
    address: SocketAddr,
    _accepting: AbortOnDropHandle<()>,
}

impl Forward {
    /// Looks for the pod, and listens.
    ///
    /// # Errors
    /// No pod or more than one pod is ready; this account may not look.
    pub async fn open(
        cluster: &Cluster,
        ctx: &Ctx,
        choice: PodChoice,
        through: Through,
    ) -> Result<Self> {
        find(cluster, ctx, &choice).await?;
        Self::listen(cluster, ctx, choice, through).await
    }

    /// Listens, whether or not there is a pod now: a server that is being replaced has none for a
    /// while.
    ///
    /// # Errors
    /// This machine has no port for it.
    pub async fn listen(
        cluster: &Cluster,
        ctx: &Ctx,
        choice: PodChoice,
        through: Through,
    ) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let way = Arc::new(Way {
            cluster: cluster.clone(),
            ctx: ctx.clone(),
            choice,
            through,
            opening: Semaphore::new(OPENING),
        });
        Ok(Self {
            address,
            _accepting: AbortOnDropHandle::new(tokio::spawn(accept(listener, way))),
        })
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

struct Way {
    cluster: Cluster,
    ctx: Ctx,
    choice: PodChoice,
    through: Through,
    opening: Semaphore,
}

async fn accept(listener: TcpListener, way: Arc<Way>) {
    // The connections end with the set.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((local, _)) = accepted else { continue };
                let way = way.clone();
                connections.spawn(async move {
                    if let Err(e) = carry(&way, local).await {
                        way.ctx.events.warn(format!(
                            "the way to {}: {}", way.choice.describe(), e.chain()
                        ));
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Opens the pod's port, and carries bytes both ways until either side is done.
async fn carry(way: &Way, local: TcpStream) -> Result<()> {
    local.set_nodelay(true)?;
    let opened = async {
        let _turn = way.opening.acquire().await;
        let (pod, port) = find(&way.cluster, &way.ctx, &way.choice).await?;
        let what = format!("could not reach port {port} of pod {pod}");
        let remote = tunnel::open(&way.cluster.api::<Pod>(), &pod, port, &way.through).await;
        let remote = remote.map_err(|e| api_error(&what, &way.cluster.describe(), e))?;
        Ok::<_, Error>((pod, port, remote))
    };
    let (pod, port, remote) = tokio::time::timeout(OPEN_WITHIN, opened)
        .await
        .map_err(|_| {
            Error::new(
                ErrorKind::Deadline,
                format!("no pod's port answered within {OPEN_WITHIN:?}"),
            )
        })??;
    tunnel::carry(local, remote, &way.through)
        .await
        .map_err(|e| e.context(format!("port {port} of pod {pod}")))
}

/// The name of the one ready pod, and its port.
pub(super) async fn find(
    cluster: &Cluster,
    ctx: &Ctx,
    choice: &PodChoice,
) -> Result<(String, u16)> {
    let (selector, target) = match choice {
        PodChoice::Labels { selector, port } => {
            (selector.clone(), IntOrString::Int(i32::from(*port)))
        }
        PodChoice::Service { name, port } => behind(cluster, ctx, name, *port).await?,
    };
    let pods = cluster.pods(ctx, &selector).await?;
    let mut ready = pods.iter().filter(|pod| is_ready(pod));
    let here = cluster.describe();
    let (Some(pod), None) = (ready.next(), ready.next()) else {
        let states: Vec<String> = pods.iter().map(state).collect();
        let found = match &states[..] {
            [] => "there is none".to_owned(),
            _ => states.join(", "),
        };
        return Err(Error::new(
            ErrorKind::Unreachable,
            format!("in {here}, not exactly one pod with {selector} is ready"),
        )
        .hint(format!(
            "{found}; a replica must not have the labels of the primary"
        )));
    };
    let port = port_of(pod, &target)
        .ok_or_else(|| Error::usage(format!("pod {} has no port {target:?}", pod.name_any())))?;
    Ok((pod.name_any(), port))
}

/// The selector of a Service and the port that it leads to.
async fn behind(
    cluster: &Cluster,
    ctx: &Ctx,
    name: &str,
    port: u16,
) -> Result<(String, IntOrString)> {
    let what = format!("could not read the Service {name:?}");
    let api = cluster.api::<Service>();
    let service = cluster.ask(ctx, &what, || api.get(name)).await?;
    let spec = service.spec.unwrap_or_default();
    let selector: BTreeMap<_, _> = spec.selector.unwrap_or_default();
    if selector.is_empty() {
        return Err(
            Error::usage(format!("the Service {name:?} selects no pods"))
                .hint("name the pod's labels in target.kubernetes.selector"),
        );
    }
    let ports = spec.ports.unwrap_or_default();
    let found = ports.iter().find(|p| p.port == i32::from(port));
    let Some(found) = found else {
        let known: Vec<String> = ports.iter().map(|p| p.port.to_string()).collect();
        return Err(
            Error::usage(format!("the Service {name:?} has no port {port}"))
                .hint(format!("it has {}", known.join(", "))),
        );
    };
    let target = found.target_port.clone();
    let labels: Vec<String> = selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
    Ok((
        labels.join(","),
        target.unwrap_or(IntOrString::Int(found.port)),
    ))
}

fn port_of(pod: &Pod, target: &IntOrString) -> Option<u16> {
    let number = match target {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let containers = &pod.spec.as_ref()?.containers;
            let mut ports = containers.iter().flat_map(|c| c.ports.iter().flatten());
            ports
                .find(|p| p.name.as_ref() == Some(name))?
                .container_port
        }
    };
    u16::try_from(number).ok()
}

fn state(pod: &Pod) -> String {
    let going = pod.metadata.deletion_timestamp.is_some();
    let ready = if is_ready(pod) { "ready" } else { "not ready" };
    let phase = if going { "Terminating" } else { phase(pod) };
    format!("{} is {phase} and {ready}", pod.name_any())
}
