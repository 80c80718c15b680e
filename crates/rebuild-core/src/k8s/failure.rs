//! What went wrong with the API server, and what to do about it.

use std::error::Error as StdError;

use kube::core::Status;

use crate::error::{Error, ErrorKind, clean};

/// True for failures that pass by themselves: the same request may be answered a moment later.
pub(super) fn is_passing(e: &kube::Error) -> bool {
    match e {
        kube::Error::Api(status) => matches!(status.code, 429 | 500 | 502 | 503 | 504),
        kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => {
            !has_cause::<rustls::Error>(e)
        }
        _ => false,
    }
}

/// The error of a request that the API server of `cluster` did not grant.
pub(super) fn api_error(what: &str, cluster: &str, e: kube::Error) -> Error {
    match e {
        kube::Error::Api(status) => refused(what, &status),
        e => {
            let advice = if has_cause::<rustls::Error>(&e) {
                "the certificate does not prove what the kubeconfig asks for"
            } else {
                "does `kubectl get --raw /readyz` reach it with that context?"
            };
            Error::new(
                ErrorKind::Unreachable,
                format!("{what}: the API server of {cluster} did not answer"),
            )
            .caused_by(Error::new(ErrorKind::Unreachable, innermost(&e)))
            .hint(advice)
        }
    }
}

fn refused(what: &str, status: &Status) -> Error {
    let (kind, hint) = match status.code {
        401 => (
            ErrorKind::Unreachable,
            Some("the kubeconfig's credentials are not accepted, or have run out"),
        ),
        403 => (
            ErrorKind::Server,
            Some("`kubectl auth can-i --list` shows what the account may do"),
        ),
        _ => (ErrorKind::Server, None),
    };
    let said = match &*status.message {
        "" => format!("the API server answered {}", status.code),
        message => clean(message),
    };
    let error = Error::new(kind, what).caused_by(Error::new(kind, said));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The error of a kubeconfig, or of an account, that cannot be used.
pub(super) fn unusable(what: impl Into<String>, e: impl StdError + Send + Sync + 'static) -> Error {
    Error::usage(what).caused_by(Error::usage(innermost(&e)))
}

/// What the last cause says: the outer layers of the client's errors repeat their causes.
fn innermost(e: &(dyn StdError + 'static)) -> String {
    let mut last = e;
    while let Some(cause) = last.source() {
        last = cause;
    }
    clean(&last.to_string())
}

/// True if a cause of `e` is a `T`. An `io::Error` gives the source of what it wraps as its own.
fn has_cause<T: StdError + 'static>(e: &kube::Error) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = Some(e);
    while let Some(cause) = next {
        let wrapped = cause
            .downcast_ref::<std::io::Error>()
            .and_then(|io| io.get_ref());
        if cause.is::<T>() || wrapped.is_some_and(|inner| inner.is::<T>()) {
            return true;
        }
        next = cause.source();
    }
    false
}
