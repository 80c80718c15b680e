//! The HTTP client of a bucket: its patience, its endpoint, whom it trusts.

use std::time::Duration;

use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use super::remote::LONGEST_PAUSE;
use crate::environment::Environment;
use crate::error::{Error, Result};

/// Timeouts of one request. Those of a whole call are above it.
pub(super) fn options(allow_http: bool) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(allow_http)
        .with_connect_timeout(Duration::from_secs(10))
        // Until the first byte of the answer, and between any two: a part of an upload is sent
        // within it.
        .with_read_timeout(Duration::from_secs(60))
        .with_timeout(Duration::from_secs(240))
}

/// Requests that may be repeated are sent up to `attempts` times.
pub(super) fn retry(attempts: u32) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: LONGEST_PAUSE,
            base: 2.0,
        },
        max_retries: attempts.saturating_sub(1) as usize,
        retry_timeout: Duration::from_secs(180),
    }
}

/// Whether `variable` says yes.
///
/// # Errors
/// It says neither yes nor no.
pub(super) fn flag(environment: &Environment, variable: &str) -> Result<bool> {
    match environment
        .filled(variable)
        .map(str::to_lowercase)
        .as_deref()
    {
        None | Some("false" | "0" | "no" | "off") => Ok(false),
        Some("true" | "1" | "yes" | "on") => Ok(true),
        Some(other) => Err(Error::usage(format!(
            "{variable} is {other:?}, neither true nor false"
        ))),
    }
}

/// The endpoint that `variable` names, without a slash at its end. Plain HTTP needs `allow_http`.
///
/// # Errors
/// It is no URL of a server; it is not encrypted; it holds a password.
pub(super) fn endpoint(
    variable: &str,
    text: &str,
    allow_http: bool,
    allow_with: &str,
) -> Result<String> {
    let bad = || Error::usage(format!("{variable} is not the URL of a server"));
    let url = url::Url::parse(text).map_err(|e| bad().caused_by(e))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::usage(format!(
            "{variable} holds a user or a password"
        )));
    }
    if url.host_str().is_none() || url.query().is_some() || url.fragment().is_some() {
        return Err(bad());
    }
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        "http" => {
            return Err(Error::refused(format!(
                "{variable} is a plain http address: rows and credentials would cross the network \
                 unencrypted"
            ))
            .hint(format!(
                "give an https address, or set {allow_with}=true if the network is your own"
            )));
        }
        _ => return Err(bad()),
    }
    Ok(text.trim_end_matches('/').to_owned())
}
