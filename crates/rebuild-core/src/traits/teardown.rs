//! Moving the old database out of the way, reversibly.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DestroyPermit;
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{BackupId, Identity};

/// What to retire, and what takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetireRequest {
    /// The target, as pinned in the plan; checked again right before the act.
    pub target: Identity,
    /// The name it is kept under.
    pub retired_name: String,
    /// What takes its place in the same transaction (the promote of the aside strategy).
    pub successor: Option<Identity>,
    /// The successor's [`marks`](Teardown::marks), taken before the request was recorded, so that
    /// they outlive a process that dies in the act; or null.
    #[serde(default)]
    pub successor_marks: serde_json::Value,
    /// Refuse when rows were written after this backup's snapshot.
    pub unchanged_since: Option<BackupId>,
}

/// A database that was moved aside and can come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Retired {
    /// The old database; `name` is the name it had, and gets back when it is reinstated.
    pub old: Identity,
    /// The name it is kept under.
    pub retired_name: String,
    /// What took its place; `name` is the staged name it goes back to on reinstate.
    pub successor: Option<Identity>,
    /// The backend's marks of the successor's writes when it went into service, or null.
    pub successor_marks: serde_json::Value,
    /// How long new sessions were held off, in milliseconds.
    pub shut_out_ms: u64,
}

impl Retired {
    /// True if its successor is on another server, which took the place of its own.
    pub(crate) fn is_replaced(&self) -> bool {
        let successor = self.successor.as_ref();
        successor.is_some_and(|new| new.server != self.old.server)
    }

    /// The database without its successor, which is on another server.
    #[cfg(any(feature = "k8s", feature = "cloudsql"))]
    pub(crate) fn alone(&self) -> Self {
        Self {
            successor: None,
            successor_marks: serde_json::Value::Null,
            ..self.clone()
        }
    }
}

/// Retires, reinstates and purges.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Teardown: Send + Sync {
    /// What carries `name` now.
    ///
    /// # Errors
    /// The server could not be asked.
    async fn look(&self, ctx: &Ctx, name: &str) -> Result<Option<Identity>>;

    /// Moves the target aside and, if there is a successor, puts that in its place, all or
    /// nothing.
    ///
    /// *Repeats:* finds by identifier that it was done and returns the same; never swaps back.
    /// *Destroys:* nothing. Sessions in the target end.
    ///
    /// # Errors
    /// A refusal if the target is not the one pinned, if rows were written since the backup, or
    /// if sessions are in the way and may not be ended; then nothing has changed.
    async fn retire(&self, ctx: &Ctx, request: &RetireRequest) -> Result<Retired>;

    /// Brings the old database back under its name; what carries that name now is moved to the
    /// successor's staged name, and kept.
    ///
    /// *Repeats:* finds by identifier that it was done. *Destroys:* nothing.
    ///
    /// # Errors
    /// The old database is gone; something else carries the name; the server failed.
    async fn reinstate(&self, ctx: &Ctx, retired: &Retired) -> Result<()>;

    /// The marks of the writes to `db` so far, taken right before it goes into service and
    /// compared by [`written_since`](Self::written_since); null where the backend keeps none.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// It does not exist; the server could not be asked.
    async fn marks(&self, ctx: &Ctx, db: &Identity) -> Result<serde_json::Value>;

    /// What was written to the successor since it went into service, or that it cannot be told:
    /// one line for each table. A reinstate would take these rows out of service.
    ///
    /// # Errors
    /// The server could not be asked.
    async fn written_since(&self, ctx: &Ctx, retired: &Retired) -> Result<Vec<String>>;

    /// Destroys a retired database.
    ///
    /// *Repeats:* a database that is gone is no error; an interrupted drop is finished.
    /// *Destroys:* `retired.old`, for good.
    ///
    /// # Errors
    /// A refusal if the permit is for something else or the database is in service.
    async fn purge(&self, ctx: &Ctx, retired: &Retired, permit: DestroyPermit) -> Result<()>;
}
