//! A service answers.

use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Url};
use tokio::time::Instant;

use super::amount::{amount, excerpt};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{Check, Outcome};

/// No more of an answer is read.
const BODY_LIMIT: usize = 1 << 20;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);

/// An attempt gets at least this long, even if less is left.
const SHORTEST: Duration = Duration::from_secs(1);

/// The pause after the first attempt; each one is twice as long as the last, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How many redirects are followed, on the same host.
const REDIRECTS: usize = 5;

/// Who must answer, and how.
#[derive(Clone, Debug)]
pub(super) struct HttpCheck {
    url: Url,
    status: u16,
    contains: Option<String>,
    timeout: Duration,
}

impl HttpCheck {
    /// A check of `url`.
    ///
    /// # Errors
    /// Wrong input if that is no `http:` or `https:` address.
    pub(super) fn new(
        url: &str,
        status: u16,
        contains: Option<String>,
        timeout: Duration,
    ) -> Result<Self> {
        let wrong =
            |why: String| Error::usage(format!("the address of an HTTP check is wrong: {why}"));
        let url = Url::parse(url).map_err(|e| wrong(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(format!("its scheme is {}", url.scheme())));
        }
        Ok(Self {
            url,
            status,
            contains,
            timeout,
        })
    }

    /// `http https://host/path`: without a password or a query, which may hold a token.
    pub(super) fn name(&self) -> String {
        let mut shown = self.url.clone();
        // Both fail only for addresses without a host, and those have no user either.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        shown.set_query(None);
        shown.set_fragment(None);
        format!("http {shown}")
    }
}

/// Asks until the answer is as said, or the time is up.
///
/// # Errors
/// The operator stopped.
pub(super) async fn http(ctx: &Ctx, check: &HttpCheck) -> Result<Check> {
    let client = client(&check.url)?;
    let deadline = Instant::now() + check.timeout;
    let mut pause = FIRST_PAUSE;
    let mut attempts = 0;
    let complaints = loop {
        attempts += 1;
        let left = deadline.saturating_duration_since(Instant::now());
        let complaint = ctx
            .within(LONGEST_PAUSE + ATTEMPT, &check.name(), async {
                Ok(ask(&client, check, left.clamp(SHORTEST, ATTEMPT)).await)
            })
            .await?;
        let Some(complaint) = complaint else {
            break Vec::new();
        };
        if Instant::now() + pause >= deadline {
            break vec![complaint];
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = ctx.stop.cancelled() => ctx.check_stop(&check.name())?,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    };
    Ok(Check {
        name: check.name(),
        looked_at: amount(attempts, "attempt", "attempts"),
        outcome: if complaints.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed(complaints)
        },
    })
}

fn client(url: &Url) -> Result<Client> {
    let mut builder = Client::builder()
        .redirect(Policy::custom(same_host))
        .connect_timeout(ATTEMPT);
    let local = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    // A proxy has its own idea of what a loopback address is.
    if local {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|e| Error::internal("could not set up an HTTP client").caused_by(e))
}

/// Another host is another service: its answer proves nothing, and it should learn nothing.
fn same_host(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let same = attempt.previous().first().is_some_and(|first| {
        first.host() == attempt.url().host()
            && (first.scheme() == attempt.url().scheme() || attempt.url().scheme() == "https")
    });
    if same && attempt.previous().len() <= REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// What is wrong with the answer, if anything is.
async fn ask(client: &Client, check: &HttpCheck, limit: Duration) -> Option<String> {
    let asked = client.get(check.url.clone()).timeout(limit).send().await;
    let mut response = match asked {
        Ok(response) => response,
        Err(e) => return Some(no_answer(check, e)),
    };
    let status = response.status().as_u16();
    if status != check.status {
        return Some(format!("expected status {}, found {status}", check.status));
    }
    let wanted = check.contains.as_ref()?;
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                body.extend_from_slice(&chunk[..chunk.len().min(BODY_LIMIT - body.len())])
            }
            Ok(None) => break,
            Err(e) => return Some(no_answer(check, e)),
        }
        if body.len() >= BODY_LIMIT {
            break;
        }
    }
    let text = String::from_utf8_lossy(&body);
    (!text.contains(wanted)).then(|| {
        format!(
            "expected the answer to hold {wanted:?}, found {}",
            excerpt(&text, 200)
        )
    })
}

fn no_answer(check: &HttpCheck, e: reqwest::Error) -> String {
    let error =
        Error::new(crate::error::ErrorKind::Unreachable, "no answer").caused_by(e.without_url());
    format!("expected status {}, found {}", check.status, error.chain())
}
