//! From a request to what it does.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use super::{
    Body, Line, Query, Target, answer, discovery, openapi, protobuf, reads, watching, whole,
};
use crate::object::{self, items, text};
use crate::resources::{PODS, SNAPSHOT};
use crate::state::State;
use crate::status::{ApiError, Result};
use crate::store::Key;
use crate::streams;
use crate::write::{self, DeleteOptions, Options, PatchKind};

/// Answers one request of somebody who is known.
pub(super) async fn dispatch(
    state: &Arc<State>,
    line: &Arc<Line>,
    mut request: Request<Incoming>,
    expired: bool,
) -> Result<Response<Body>> {
    let path = request.uri().path().to_owned();
    let query = Query::parse(request.uri().query().unwrap_or_default());
    if matches!(path.as_str(), "/healthz" | "/livez" | "/readyz") {
        return Ok(whole_text("ok"));
    }
    if let Some(found) = discovery::discover(state, &path) {
        return Ok(answer(200, &found));
    }
    if let Some(found) = openapi::describe(state, &path) {
        return Ok(answer(200, &found));
    }
    let target = Target::parse(&path)
        .filter(|target| state.snapshots || target.resource.group != SNAPSHOT)
        .ok_or_else(ApiError::no_such_path)?;
    let verb = verb(&request, &target, &query)?;
    authorise(state, &target, verb)?;
    if verb == "watch" {
        line.set_streaming();
        return watching::watch(state, &target, &query, expired);
    }
    if expired {
        return Err(ApiError::expired(
            "The resourceVersion for the provided request is too old.",
        ));
    }
    match (target.subresource.as_deref(), target.name.as_deref()) {
        (Some("log"), _) => return streams::log(state, line, &target, &query),
        (Some("exec" | "attach" | "portforward"), _) => {
            return streams::upgrade(state, line, &target, &query, &mut request);
        }
        (Some("scale"), _) if verb == "get" => {
            let scale = write::scale_of(&state.store(), &key(&target))?;
            return Ok(answer(200, &scale));
        }
        (_, Some(_)) if verb == "get" => {
            let object = write::find(&state.store(), &key(&target))?;
            return Ok(answer(200, &object));
        }
        _ if verb == "list" => return Ok(answer(200, &reads::list(state, &target, &query)?)),
        _ => {}
    }
    let header = |name| request.headers().get(name).and_then(|it| it.to_str().ok());
    let content_type = header(CONTENT_TYPE).unwrap_or_default().to_owned();
    let agent = header(USER_AGENT).unwrap_or_default();
    let options = Options {
        dry_run: dry_run(&query)?,
        manager: match query.get("fieldManager") {
            // Who gives no name is known by that of its program.
            "" if content_type != "application/apply-patch+yaml" => agent
                .split(['/', ' '])
                .next()
                .unwrap_or_default()
                .to_owned(),
            manager => manager.to_owned(),
        },
        force: query.flag("force"),
    };
    let body = read(request, content_type.contains("protobuf")).await?;
    change(state, &target, verb, &query, &content_type, body, &options)
}

fn change(
    state: &State,
    target: &Target,
    verb: &str,
    query: &Query,
    content_type: &str,
    mut body: Value,
    options: &Options,
) -> Result<Response<Body>> {
    let mut store = state.store();
    let subresource = target.subresource.as_deref();
    match (verb, subresource) {
        ("create", Some("eviction")) => {
            let query = |name: &str| query.get(name).to_owned();
            let how = DeleteOptions::parse(&body["deleteOptions"], query);
            write::delete(&mut store, &key(target), &how)?;
            Ok(answer(
                201,
                &json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                }),
            ))
        }
        ("create", None) if target.resource.is_review() => {
            drop(store);
            Ok(answer(201, &review(state, body)))
        }
        ("create", None) => {
            let namespace = target.namespace.as_deref().unwrap_or_default();
            let created = write::create(&mut store, target.resource, namespace, body, options)?;
            Ok(answer(201, &created))
        }
        ("update", Some("scale")) => {
            let scale = write::set_scale(&mut store, &key(target), &body, options)?;
            Ok(answer(200, &scale))
        }
        ("update", _) => {
            let stored = write::replace(&mut store, &key(target), body, subresource, options)?;
            Ok(answer(200, &stored))
        }
        ("patch", _) => {
            let kind = PatchKind::of(content_type)?;
            state.insist_on(target.resource, &mut body);
            let key = key(target);
            let (stored, new) = write::patch(&mut store, &key, kind, body, subresource, options)?;
            Ok(answer(if new { 201 } else { 200 }, &stored))
        }
        ("delete", None) => {
            let how = DeleteOptions::parse(&body, |name| query.get(name).to_owned());
            let key = key(target);
            let (last, gone) = write::delete(&mut store, &key, &how)?;
            // Pods are answered with the object either way, as the real server does.
            if gone && key.resource != &PODS {
                return Ok(answer(200, &deleted(&key, &last)));
            }
            Ok(answer(200, &last))
        }
        ("deletecollection", None) => {
            drop(store);
            let list = reads::list(state, target, query)?;
            let how = DeleteOptions::parse(&body, |name| query.get(name).to_owned());
            let mut store = state.store();
            for item in items(&list, "/items") {
                // What went in the meantime is what was asked for.
                let _ = write::delete(&mut store, &Key::of(target.resource, item), &how);
            }
            Ok(answer(200, &list))
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn key(target: &Target) -> Key {
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let name = target.name.as_deref().unwrap_or_default();
    Key::new(target.resource, namespace, name)
}

fn deleted(key: &Key, object: &Value) -> Value {
    let mut details = json!({
        "name": key.name, "kind": key.resource.plural, "uid": object::uid(object),
    });
    if !key.resource.group.is_empty() {
        details["group"] = json!(key.resource.group);
    }
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    })
}

/// What authorisation calls the request.
fn verb(request: &Request<Incoming>, target: &Target, query: &Query) -> Result<&'static str> {
    Ok(match (request.method(), target.name.is_some()) {
        (&Method::GET, _) if query.flag("watch") && target.subresource.is_none() => "watch",
        (&Method::GET, true) => "get",
        (&Method::GET, false) => "list",
        (&Method::POST, named) if named == target.subresource.is_some() => "create",
        (&Method::PUT, true) => "update",
        (&Method::PATCH, true) => "patch",
        (&Method::DELETE, true) => "delete",
        (&Method::DELETE, false) => "deletecollection",
        _ => return Err(ApiError::method_not_allowed()),
    })
}

fn authorise(state: &State, target: &Target, verb: &str) -> Result<()> {
    let resource = target.path();
    if !state.is_denied(verb, &resource) {
        return Ok(());
    }
    let place = match &target.namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let named = target.name.iter().map(|name| format!(" \"{name}\""));
    let message = format!(
        "{}{} is forbidden: User \"test\" cannot {verb} resource \"{resource}\" in API group \
         \"{}\" {place}",
        target.resource.qualified(),
        named.collect::<String>(),
        target.resource.group
    );
    Err(ApiError::new(403, "Forbidden", message))
}

/// Answers whether the user may do something.
fn review(state: &State, mut review: Value) -> Value {
    let asked = &review["spec"]["resourceAttributes"];
    let mut resource = text(asked, "/resource").to_owned();
    let subresource = text(asked, "/subresource");
    if !subresource.is_empty() {
        resource = format!("{resource}/{subresource}");
    }
    let allowed = !state.is_denied(text(asked, "/verb"), &resource);
    review["status"] = json!({"allowed": allowed});
    review
}

fn dry_run(query: &Query) -> Result<bool> {
    match query.get("dryRun") {
        "" => Ok(false),
        "All" => Ok(true),
        other => Err(ApiError::bad_request(format!("invalid dryRun: {other}"))),
    }
}

async fn read(request: Request<Incoming>, is_protobuf: bool) -> Result<Value> {
    let collected = request.into_body().collect().await;
    let bytes = collected
        .map_err(|error| ApiError::bad_request(error.to_string()))?
        .to_bytes();
    if bytes.is_empty() {
        return Ok(json!({}));
    }
    if is_protobuf {
        return protobuf::decode(&bytes);
    }
    if let Ok(value) = serde_json::from_slice(&bytes) {
        return Ok(value);
    }
    serde_saphyr::from_slice(&bytes).map_err(|error| ApiError::bad_request(error.to_string()))
}

fn whole_text(text: &'static str) -> Response<Body> {
    Response::new(whole(text.into()))
}
