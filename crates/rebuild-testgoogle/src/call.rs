//! A call of a method, and what it is answered with.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use crate::error::ApiError;

/// What a handler ends with.
pub type Result<T = Answer, E = ApiError> = std::result::Result<T, E>;

/// A call that has been checked: its parameters and its body are as the method's document says.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method's id, such as `sql.backupRuns.insert`.
    pub method: String,
    /// The API and its version, such as `sqladmin.v1beta4`.
    pub api: &'static str,
    /// The host that it was sent to, which names the region for some methods.
    pub host: String,
    /// The parameters in the path, decoded.
    pub path: BTreeMap<String, String>,
    /// The parameters of the query that have a value.
    pub query: Vec<(String, String)>,
    /// The body; null if there is none. Enums are names, numbers of 64 bits text.
    pub body: Value,
    /// The file of an upload.
    pub media: Option<Media>,
    /// Whose token it came with: an email, or `anonymous`.
    pub principal: String,
    /// Where this server is, for links: `http://127.0.0.1:PORT`.
    pub server: String,
}

/// A file on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Its type, such as `application/gzip`.
    pub content_type: String,
    /// What is in it.
    pub bytes: Bytes,
}

impl Call {
    /// A parameter in the path, such as `projects/p/locations/l/jobs/j` for `name`.
    ///
    /// # Panics
    /// The method has none with this name.
    pub fn param(&self, name: &str) -> &str {
        let value = self.path.get(name);
        value.unwrap_or_else(|| panic!("{} has no parameter {name} in its path", self.method))
    }

    /// The first value of a parameter of the query, or nothing.
    pub fn query(&self, name: &str) -> &str {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// True if a parameter of the query is.
    pub fn flag(&self, name: &str) -> bool {
        self.query(name).eq_ignore_ascii_case("true")
    }

    /// How many of something a parameter of the query asks for; 0 is as good as nothing.
    pub fn at_most(&self, name: &str) -> usize {
        let number = self.query(name).parse().ok().filter(|number| *number > 0);
        number.unwrap_or(usize::MAX)
    }

    /// Text in the body at a pointer such as `/exportContext/uri`, or nothing.
    pub fn text(&self, pointer: &str) -> &str {
        let value = self.body.pointer(pointer);
        value.and_then(Value::as_str).unwrap_or_default()
    }
}

/// What a call is answered with.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// An object, which must be as the method's document says.
    Json(Value),
    /// A file.
    Media(Media),
    /// Nothing: code 204.
    Nothing,
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}
