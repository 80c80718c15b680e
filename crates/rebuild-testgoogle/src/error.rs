//! Errors as Google's APIs say them.

use serde_json::{Value, json};

/// What a call ends with when it does not succeed.
///
/// It is sent as the object that <https://cloud.google.com/apis/design/errors> describes, with the
/// list of the older form in it: some clients read the one, some the other.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// The HTTP code.
    pub code: u16,
    /// The name of the canonical code, such as `NOT_FOUND`.
    pub status: String,
    /// The reason in the older form, such as `notFound` or `operationInProgress`.
    pub reason: String,
    /// What is said to people.
    pub message: String,
    /// Seconds for the header `Retry-After`.
    pub retry_after: Option<u64>,
    /// Objects with more, each with its `@type`.
    pub details: Vec<Value>,
}

impl ApiError {
    /// An error with the status and the reason that usually go with its code.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        let (status, reason) = match code {
            400 => ("INVALID_ARGUMENT", "invalid"),
            401 => ("UNAUTHENTICATED", "authError"),
            403 => ("PERMISSION_DENIED", "forbidden"),
            404 => ("NOT_FOUND", "notFound"),
            409 => ("ABORTED", "conflict"),
            412 => ("FAILED_PRECONDITION", "conditionNotMet"),
            429 => ("RESOURCE_EXHAUSTED", "rateLimitExceeded"),
            500 => ("INTERNAL", "internalError"),
            501 => ("UNIMPLEMENTED", "notImplemented"),
            503 => ("UNAVAILABLE", "backendError"),
            504 => ("DEADLINE_EXCEEDED", "backendError"),
            _ => ("UNKNOWN", "unknown"),
        };
        Self {
            code,
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.into(),
            retry_after: None,
            details: Vec::new(),
        }
    }

    /// The same with another canonical code, such as `FAILED_PRECONDITION`.
    #[must_use]
    pub fn status(mut self, status: &str) -> Self {
        status.clone_into(&mut self.status);
        self
    }

    /// The same with another reason, such as `operationInProgress`.
    #[must_use]
    pub fn reason(mut self, reason: &str) -> Self {
        reason.clone_into(&mut self.reason);
        self
    }

    /// The same with a time to wait.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The same with one more object.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        self.details.push(detail);
        self
    }

    /// The object that is sent.
    pub fn to_value(&self) -> Value {
        let mut error = json!({
            "code": self.code, "message": self.message, "status": self.status,
            "errors": [{"message": self.message, "domain": "global", "reason": self.reason}],
        });
        if !self.details.is_empty() {
            error["details"] = self.details.clone().into();
        }
        json!({"error": error})
    }
}
