//! What was asked of the server, and what was wrong with it.

use serde_json::Value;

/// A request as the server got it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The id of the method, such as `sql.instances.get`; `oauth2.token`, `metadata` or
    /// `discovery` for what is no method of an API, and nothing if there is no such path.
    pub method: String,
    /// The API and its version, such as `sqladmin.v1`, or nothing.
    pub api: &'static str,
    /// The path as it was sent.
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The body if it is JSON, with enums as names; otherwise null.
    pub body: Value,
    /// Whose token it came with: an email, `anonymous`, or nothing if it was not let in.
    pub principal: String,
    /// What the client says that it is.
    pub user_agent: String,
    /// The HTTP code it was answered with; nothing if there is no answer, or none yet.
    pub status: Option<u16>,
}

/// The requests and the violations of a server.
#[derive(Debug, Default)]
pub(crate) struct Records {
    requests: Vec<Request>,
    violations: Vec<String>,
}

impl Records {
    /// Remembers a request and gives its number.
    pub(crate) fn add(&mut self, request: Request) -> usize {
        self.requests.push(request);
        self.requests.len() - 1
    }

    pub(crate) fn change(&mut self, number: usize, change: impl FnOnce(&mut Request)) {
        if let Some(request) = self.requests.get_mut(number) {
            change(request);
        }
    }

    pub(crate) fn violation(&mut self, violation: String) {
        self.violations.push(violation);
    }

    pub(crate) fn requests(&self) -> &[Request] {
        &self.requests
    }

    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }

    pub(crate) fn take_violations(&mut self) -> Vec<String> {
        std::mem::take(&mut self.violations)
    }
}
