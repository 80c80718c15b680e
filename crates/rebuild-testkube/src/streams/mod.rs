//! Streams to and from containers.

mod exec;
mod log;
mod portforward;
mod websocket;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::Value;

pub(crate) use self::log::log;
use crate::node::Pod;
use crate::object::{items, text, uid};
use crate::resources::PODS;
use crate::server::{Body, Line, Query, Target};
use crate::state::{State, lock};
use crate::status::{ApiError, Result};
use crate::store::Key;
use crate::write;

/// Turns a request into a stream: exec, attach or port-forward.
pub(crate) fn upgrade(
    state: &Arc<State>,
    line: &Arc<Line>,
    target: &Target,
    query: &Query,
    request: &mut Request<Incoming>,
) -> Result<Response<Body>> {
    let (object, pod) = find(state, target)?;
    if text(&object, "/status/phase") != "Running" {
        let message = format!(
            "cannot exec into a container in a pod that is not running; current phase is {}",
            text(&object, "/status/phase")
        );
        return Err(ApiError::bad_request(message));
    }
    let pod = pod.ok_or_else(|| ApiError::bad_request("the pod does not run on the node yet"))?;
    match target.subresource.as_deref() {
        Some("portforward") => portforward::start(state, line, query, &pod, request),
        Some("attach") => exec::attach(state, line, query, &object, &pod, request),
        _ => exec::start(state, line, query, &object, &pod, request),
    }
}

/// The pod that a request is about, and what runs for it.
fn find(state: &State, target: &Target) -> Result<(Arc<Value>, Option<Arc<Pod>>)> {
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let name = target.name.as_deref().unwrap_or_default();
    let object = write::find(&state.store(), &Key::new(&PODS, namespace, name))?;
    let pod = state.node.pod(uid(&object));
    Ok((object, pod))
}

/// The container that a request names, or the only one.
fn container(object: &Value, query: &Query) -> Result<String> {
    let wanted = query.get("container");
    let lists = ["/spec/containers", "/spec/initContainers"];
    let all: Vec<&str> = lists
        .iter()
        .flat_map(|list| items(object, list))
        .map(|container| text(container, "/name"))
        .collect();
    let name = text(object, "/metadata/name");
    if wanted.is_empty() {
        return match items(object, "/spec/containers") {
            [only] => Ok(text(only, "/name").to_owned()),
            _ => Err(ApiError::bad_request(format!(
                "a container name must be specified for pod {name}, choose one of: {all:?}"
            ))),
        };
    }
    if !all.contains(&wanted) {
        let message = format!("container {wanted} is not valid for pod {name}");
        return Err(ApiError::bad_request(message));
    }
    Ok(wanted.to_owned())
}

/// Something of the container with a name.
fn of_container<T>(pod: &Pod, name: &str, take: impl FnOnce(&crate::node::Run) -> T) -> Option<T> {
    let runs = lock(&pod.runs);
    runs.iter().find(|run| run.name() == name).map(take)
}
