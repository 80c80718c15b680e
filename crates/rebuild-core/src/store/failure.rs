//! What went wrong in a store, in words, and without the secrets that an answer may repeat.

use super::remote::Remote;
use crate::error::{Error, ErrorKind};

/// How much of a server's message is kept, in bytes.
const MESSAGE: usize = 300;

/// What a server said when it said no.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: Option<u16>,
    /// The server's own name for the error.
    code: String,
    /// Its message.
    message: String,
}

impl Answer {
    /// Reads the status and the XML body out of the text of an error: the client keeps them
    /// nowhere else. Of the body, only the code and the message are looked at. Some errors repeat
    /// the request in other elements, and a session token with it.
    fn of(text: &str) -> Self {
        let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest);
        let status = after("status code: ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            // What S3 says of a bucket in another region.
            .or_else(|| text.contains("redirect without LOCATION").then_some(301));
        let element = |name: &str| {
            after(&format!("<{name}>"))
                .and_then(|rest| rest.split_once('<'))
                .map(|(value, _)| shortened(value))
                .unwrap_or_default()
        };
        Self {
            status,
            code: element("Code"),
            message: element("Message"),
        }
    }

    pub(super) fn from_error(e: &object_store::Error) -> Self {
        Self::of(&chain(e))
    }

    /// Whether asking again can help: the server was busy or broken, or did not answer.
    pub(super) fn is_passing(&self) -> bool {
        match self.status {
            Some(status) => status >= 500 || matches!(status, 408 | 429),
            None => true,
        }
    }
}

/// A store error: what could not be done to which object.
pub(super) fn failed(
    remote: Option<&Remote>,
    verb: &str,
    what: &str,
    e: object_store::Error,
) -> Error {
    let error = Error::new(
        ErrorKind::Store,
        format!("could not {verb} {what} in the store"),
    );
    match remote {
        Some(remote) => answered(remote, error, &e),
        None => on_disk(error, e),
    }
}

fn on_disk(error: Error, e: object_store::Error) -> Error {
    let text = e.to_string().to_lowercase();
    let hint = if text.contains("no space left") {
        Some("the store's disk is full; make room, then resume")
    } else if text.contains("permission denied") {
        Some("the store's files belong to another user")
    } else {
        None
    };
    let error = error.caused_by(e);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn answered(remote: &Remote, error: Error, e: &object_store::Error) -> Error {
    let text = chain(e);
    let answer = Answer::of(&text);
    let (why, hint) = explain(remote, &answer);
    let said = match answer.status {
        Some(status) => format!("HTTP {status} {} {}", answer.code, answer.message)
            .trim_end()
            .to_owned(),
        None => shortened(&text),
    };
    let said = Error::new(ErrorKind::Store, remote.without_secrets(&said));
    let error = error.caused_by(match why {
        Some(why) => Error::new(ErrorKind::Store, why).caused_by(said),
        None => said,
    });
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The reason in words, and what to do. The codes are those of
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html> and
/// <https://cloud.google.com/storage/docs/xml-api/reference-status>.
fn explain(remote: &Remote, answer: &Answer) -> (Option<String>, Option<String>) {
    let bucket = &remote.bucket;
    let reason = |why: String, hint: &str| (Some(why), Some(hint.to_owned()));
    match (answer.code.as_str(), answer.status) {
        ("NoSuchBucket", _) => reason(
            format!("the bucket {bucket} does not exist"),
            "make the bucket, or correct the store's URL",
        ),
        ("RequestTimeTooSkewed", _) => reason(
            "the clock of this machine is wrong".to_owned(),
            "set the clock (timedatectl set-ntp true), then do it again",
        ),
        ("ExpiredToken" | "TokenRefreshRequired", _) => reason(
            format!("the credentials for the bucket {bucket} have expired"),
            "get new credentials, then do it again",
        ),
        ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken", _) | (_, Some(401)) => {
            reason(
                format!("the credentials for the bucket {bucket} are not accepted"),
                remote.credentials_hint,
            )
        }
        (
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
            _,
        )
        | (_, Some(301 | 307)) => reason(
            format!("the bucket {bucket} is in another region"),
            "set AWS_REGION to the bucket's region",
        ),
        (_, Some(403)) => reason(
            format!("these credentials may not do this in the bucket {bucket}"),
            remote.rights_hint,
        ),
        (_, Some(status)) if status >= 500 || status == 429 => reason(
            format!("the store at {} is not able to answer now", remote.place),
            "do it again later",
        ),
        (_, None) => reason(
            format!("the store at {} could not be asked", remote.place),
            remote.endpoint_hint,
        ),
        _ => (None, None),
    }
}

/// The messages of every layer, those left out that a layer above has repeated.
fn chain(e: &object_store::Error) -> String {
    let mut text = e.to_string();
    let mut next = std::error::Error::source(e);
    while let Some(cause) = next {
        let layer = cause.to_string();
        if !text.contains(&layer) {
            text.push_str(": ");
            text.push_str(&layer);
        }
        next = cause.source();
    }
    text
}

/// One line of bounded length, without control characters.
fn shortened(text: &str) -> String {
    let mut end = text.len().min(MESSAGE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end]
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(body: &str, status: &str) -> object_store::Error {
        object_store::Error::Generic {
            store: "S3",
            source: format!("Server returned non-2xx status code: {status}: {body}").into(),
        }
    }

    #[test]
    fn an_answer_is_read_and_the_rest_of_it_is_dropped() {
        let body = "<?xml version=\"1.0\"?><Error><Code>ExpiredToken</Code>\
                    <Message>The provided\n token has expired.</Message>\
                    <Token-0>hunter2</Token-0></Error>";
        let e = denied(body, "400 Bad Request");
        assert_eq!(
            Answer::from_error(&e),
            Answer {
                status: Some(400),
                code: "ExpiredToken".to_owned(),
                message: "The provided  token has expired.".to_owned(),
            }
        );
        let remote = Remote::for_tests(&["hunter2"]);
        let told = format!("{:?}", failed(Some(&remote), "read", "a", e));
        assert!(told.contains("have expired"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn a_secret_in_a_message_is_blotted_out() {
        let body = "<Code>Odd</Code><Message>no such key hunter2</Message>";
        let remote = Remote::for_tests(&["hunter2"]);
        let told = failed(Some(&remote), "read", "a", denied(body, "400 Bad Request"));
        assert!(told.chain().contains("no such key ***"), "{told:?}");
    }

    #[test]
    fn each_reason_has_words_of_its_own() {
        let remote = Remote::for_tests(&[]);
        for (code, status, words) in [
            ("NoSuchBucket", "404", "does not exist"),
            ("AccessDenied", "403", "may not do this"),
            ("InvalidAccessKeyId", "403", "not accepted"),
            ("RequestTimeTooSkewed", "403", "clock"),
            ("PermanentRedirect", "301", "another region"),
            ("SlowDown", "503", "not able to answer"),
        ] {
            let e = denied(&format!("<Code>{code}</Code>"), status);
            let told = failed(Some(&remote), "write", "a", e);
            assert!(told.chain().contains(words), "{code}: {told:?}");
            assert!(told.advice().is_some(), "{code}");
        }
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        for (status, passing) in [
            ("503 Service Unavailable", true),
            ("500 Internal Server Error", true),
            ("429 Too Many Requests", true),
            ("403 Forbidden", false),
            ("400 Bad Request", false),
        ] {
            let answer = Answer::from_error(&denied("", status));
            assert_eq!(answer.is_passing(), passing, "{status}");
        }
        let cut = object_store::Error::Generic {
            store: "S3",
            source: "connection reset".into(),
        };
        assert!(Answer::from_error(&cut).is_passing());
    }
}
