//! Which thing, exactly.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A thing that a run works on, by the server's own identifiers rather than by name alone.
///
/// For PostgreSQL `server` is the system identifier of the cluster and `uid` the database's
/// oid; for Kubernetes the cluster's UID and the object's. Two identities are the same thing
/// when `server` and `uid` are equal; the name may have changed since.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The server or cluster that holds it.
    pub server: String,
    /// The name it had when it was looked at.
    pub name: String,
    /// The server's own identifier of it, never reused for another thing while it lives.
    pub uid: String,
}

impl Identity {
    /// True when both are the same thing, whatever it is called now.
    pub fn is_same_thing(&self, other: &Self) -> bool {
        self.server == other.server && self.uid == other.uid
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (oid {} on {})", self.name, self.uid, self.server)
    }
}
