//! What the stages of several suites have in common.

use async_trait::async_trait;

use crate::event::Ctx;
use crate::model::{BackupId, Identity};

/// A server on which names are free or taken: the scene of what comes and goes.
#[async_trait]
pub trait NamesScene: Send + Sync {
    /// The run, whose mark things made in it carry.
    fn ctx(&self) -> &Ctx;

    /// Makes something called `name` by other means, as a stranger would.
    async fn occupy(&self, name: &str) -> Identity;

    /// True if the thing exists, whatever it is called now.
    async fn exists(&self, thing: &Identity) -> bool;
}

/// A database that a run has made, and a backup: the scene of what fills the database and looks
/// at it.
#[async_trait]
pub trait DatabaseScene: Send + Sync {
    /// The run.
    fn ctx(&self) -> &Ctx;

    /// The database, which the run has made.
    fn db(&self) -> &Identity;

    /// A backup with a schema and rows that fit, for what takes them from there.
    fn backup(&self) -> &BackupId;

    /// Something else of the same kind on the same server.
    async fn stranger(&self) -> Identity;
}
