//! Looking whether the result is right.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::event::Ctx;
use crate::model::{BackupId, Identity, Verdict};

/// What to verify, and against what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyRequest {
    /// The database to look at.
    pub db: Identity,
    /// The backup whose fingerprints it must match.
    pub backup: Option<BackupId>,
    /// True once the database is in service: probes that need it (HTTP) run only then, and
    /// content that applications may have changed since is no longer compared.
    pub live: bool,
}

/// Verifies a database.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Verifier: Send + Sync {
    /// Runs every check that applies.
    ///
    /// *Repeats:* looks again. *Destroys:* nothing; it writes nothing.
    ///
    /// # Errors
    /// The database or the backup could not be read. A difference is no error but a failed
    /// check in the verdict.
    async fn verify(&self, ctx: &Ctx, request: &VerifyRequest) -> Result<Verdict>;
}
