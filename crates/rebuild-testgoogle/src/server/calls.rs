//! From a request to a handler and back, with everything checked on the way.

use hyper::Response;
use serde_json::Value;

use super::Request;
use super::answer::{self, Body};
use super::body;
use crate::call::{Answer, Call};
use crate::discovery::Route;
use crate::error::ApiError;
use crate::state::State;
use crate::validate::{self, Maker};

/// Answers the call of a method.
pub(super) async fn answer(
    state: &State,
    request: Request,
    route: Route,
    number: usize,
) -> Response<Body> {
    let handled = match admit(state, &request, &route, number) {
        Ok(call) => handle(state, call).await,
        Err(error) => Err(error),
    };
    let sent = handled.and_then(|answer| check(state, &route, answer));
    match sent {
        Ok(Answer::Json(value)) => answer::json(200, &value),
        Ok(Answer::Media(file)) => answer::file(200, &file.content_type, file.bytes),
        Ok(Answer::Nothing) => answer::file(204, "text/html", ""),
        Err(error) => answer::error(&error),
    }
}

/// A path that no API has.
pub(super) fn no_such_method(state: &State, request: &Request) -> Response<Body> {
    let asked = format!("{} {}", request.http, request.path);
    let violation = format!("{asked}: no API has such a method");
    state.records().violation(violation);
    answer::error(&ApiError::new(404, format!("Method not found: {asked}")))
}

/// The call, if the client may make it and it is as the document says.
fn admit(state: &State, request: &Request, route: &Route, number: usize) -> Result<Call, ApiError> {
    let method = &route.method;
    let principal = state.access().principal(request.authorization.as_deref())?;
    state
        .records()
        .change(number, |it| it.principal.clone_from(&principal));
    let (mut body, media) = body::read(request, route.upload)
        .inspect_err(|error| violation(state, request, &method.id, &error.message))?;
    let mut query = request.query.clone();
    let mut problems = validate::query(method, &mut query);
    problems.extend(validate::body(method, &mut body, Maker::Client));
    state.records().change(number, |it| {
        it.body = body.clone();
        it.query.clone_from(&query);
    });
    if !problems.is_empty() {
        let problems = problems.join("; ");
        violation(state, request, &method.id, &problems);
        let said = format!("Invalid value: {problems}");
        return Err(ApiError::new(400, said));
    }
    if state.forbidden().contains(&method.id) {
        violation(state, request, &method.id, "the test forbids this call");
        return Err(ApiError::new(403, "The test forbids this call."));
    }
    if state.denied().contains(&method.id) {
        return Err(denied(&method.id));
    }
    Ok(Call {
        method: method.id.clone(),
        api: method.document.api,
        host: request.host.clone(),
        path: route.path.clone(),
        query,
        body,
        media,
        principal,
        server: state.url.clone(),
    })
}

fn violation(state: &State, request: &Request, method: &str, problem: &str) {
    let (http, path) = (&request.http, &request.path);
    let violation = format!("{method} ({http} {path}): {problem}");
    state.records().violation(violation);
}

fn denied(method: &str) -> ApiError {
    ApiError::new(
        403,
        format!("The caller does not have permission for {method}."),
    )
}

async fn handle(state: &State, call: Call) -> Result<Answer, ApiError> {
    let method = call.method.clone();
    let Some(handler) = state.registry.find(&method) else {
        state
            .records()
            .violation(format!("{method}: this server does not have it"));
        return Err(ApiError::new(501, format!("{method} is not implemented")));
    };
    // Apart, so that a panic in it is an answer.
    tokio::spawn(handler(call)).await.unwrap_or_else(|panic| {
        state
            .records()
            .violation(format!("{method}: its handler panicked: {panic}"));
        Err(ApiError::new(500, "the handler panicked"))
    })
}

/// The answer, if it is as the document says.
fn check(state: &State, route: &Route, answer: Answer) -> Result<Answer, ApiError> {
    let method = &route.method;
    let problems = match &answer {
        Answer::Json(value) => validate::body(method, &mut value.clone(), Maker::Server),
        Answer::Nothing => validate::body(method, &mut Value::Null, Maker::Server),
        Answer::Media(_) if method.definition["supportsMediaDownload"] == true => Vec::new(),
        Answer::Media(_) => vec!["this method has no files".to_owned()],
    };
    if problems.is_empty() {
        return Ok(answer);
    }
    let problems = problems.join("; ");
    state
        .records()
        .violation(format!("answer of {}: {problems}", method.id));
    Err(ApiError::new(
        500,
        format!("the answer is not as it must be: {problems}"),
    ))
}
