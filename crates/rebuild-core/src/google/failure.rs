//! What went wrong with an API, and what to do about it.

use google_cloud_gax::error::Error as ApiError;

use super::GoogleApi;
use crate::error::{Error, ErrorKind, clean};

/// True for failures that pass by themselves: the same request may be answered a moment later.
pub(super) fn is_passing(e: &ApiError) -> bool {
    match e.http_status_code() {
        // That of an answer that was cut, of which the beginning says yes, counts for nothing.
        Some(code) if code >= 300 => matches!(code, 408 | 429 | 500 | 502 | 503 | 504),
        _ => {
            e.is_timeout()
                || e.is_io()
                || e.is_connect()
                || e.is_transport()
                || e.is_deserialization()
        }
    }
}

/// True if the token was not accepted.
pub(super) fn is_unauthenticated(e: &ApiError) -> bool {
    e.http_status_code() == Some(401)
}

/// The code of an API's answer, if there was one.
pub(crate) fn code(e: &ApiError) -> Option<u16> {
    e.http_status_code()
}

/// The error of a request that `api` did not grant.
pub(super) fn api_error(what: &str, api: GoogleApi, account: &str, e: &ApiError) -> Error {
    let Some(code) = e.http_status_code().filter(|code| *code >= 300) else {
        return unanswered(what, api, account, e);
    };
    let said = said(e).unwrap_or_else(|| format!("{api} answered {code}"));
    let (kind, hint) = match code {
        401 => (
            ErrorKind::Unreachable,
            Some(format!(
                "{account} are not accepted, or have run out: gcloud auth application-default login"
            )),
        ),
        403 => (
            ErrorKind::Server,
            Some(format!(
                "{account} need a role for it, and {api} must be enabled in the project"
            )),
        ),
        429 => (
            ErrorKind::Unreachable,
            Some(
                "a quota is used up; give the same command again later, or `rebuild resume` if it was a run"
                    .to_owned(),
            ),
        ),
        500.. => (ErrorKind::Unreachable, None),
        _ => (ErrorKind::Server, None),
    };
    let error = Error::new(kind, what).caused_by(Error::new(kind, said));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn unanswered(what: &str, api: GoogleApi, account: &str, e: &ApiError) -> Error {
    let cause = Error::new(ErrorKind::Unreachable, innermost(e));
    if e.is_authentication() {
        return Error::new(ErrorKind::Unreachable, format!("{what}: there is no token"))
            .caused_by(cause)
            .hint(format!(
                "{account} gave none: gcloud auth application-default login"
            ));
    }
    Error::new(
        ErrorKind::Unreachable,
        format!("{what}: {api} did not answer"),
    )
    .caused_by(cause)
}

/// What the API said, without what it repeats in its details.
fn said(e: &ApiError) -> Option<String> {
    let from_body = || {
        let body: serde_json::Value = serde_json::from_slice(e.http_payload()?).ok()?;
        body["error"]["message"].as_str().map(ToOwned::to_owned)
    };
    let message = match e.status() {
        Some(status) if !status.message.is_empty() => Some(status.message.clone()),
        _ => from_body(),
    };
    message.map(|message| clean(&message))
}

/// What the last cause says: the outer layers repeat their causes.
pub(super) fn innermost(e: &(dyn std::error::Error + 'static)) -> String {
    let mut last = e;
    while let Some(cause) = last.source() {
        last = cause;
    }
    clean(&last.to_string())
}
