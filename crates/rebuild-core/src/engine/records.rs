//! What the engine writes into the journal for each step: what it is about to do, and what came
//! of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::{BackupId, Identity, Verdict};
use crate::traits::{
    BackupMode, BackupSummary, ProvisionRequest, PutBack, RestoreReport, RetireRequest, Retired,
    SchemaApplied, VerifyRequest, WorkloadState,
};

/// Everything an act needs, settled and recorded before it begins, so that a repeat after a
/// crash does the very same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "intent", rename_all = "kebab-case")]
pub enum Intent {
    /// Stop a workload that was as `before` says.
    Stop {
        /// Its name.
        workload: String,
        /// What it goes back to.
        before: WorkloadState,
    },
    /// Take this backup.
    Backup {
        /// Its id.
        id: BackupId,
        /// How much it holds.
        mode: BackupMode,
    },
    /// Prove this backup.
    CheckBackup {
        /// Its id.
        id: BackupId,
    },
    /// Move the old database aside, and perhaps the new one into its place.
    Retire {
        /// What moves where.
        request: RetireRequest,
    },
    /// Make this database.
    Provision {
        /// What to make.
        request: ProvisionRequest,
    },
    /// Apply the schema, restore the rows, apply the fixtures, or finish.
    Fill {
        /// The new database.
        db: Identity,
        /// Where schema or rows come from.
        backup: BackupId,
    },
    /// Put this database in service under the name it has.
    Settle {
        /// Which.
        db: Identity,
        /// The database whose comment it gets.
        like: Identity,
        /// The marks of the writes to it until then, or null.
        #[serde(default)]
        marks: serde_json::Value,
    },
    /// Verify.
    Verify {
        /// What, and against what.
        request: VerifyRequest,
    },
    /// Start a workload again.
    Start {
        /// Its name.
        workload: String,
        /// What it goes back to.
        before: WorkloadState,
    },
    /// Run an infrastructure-as-code tool, a command that loads rows, or an after-step.
    Task {
        /// Its name.
        name: String,
        /// The database it works on.
        db: Identity,
    },
}

/// What came of an act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done; there is nothing more to say.
    Done,
    /// A backup was taken or proven.
    Backup {
        /// Its summary.
        summary: BackupSummary,
    },
    /// A database was made.
    Made {
        /// Which.
        db: Identity,
    },
    /// The old database was retired.
    Retired {
        /// How it comes back.
        retired: Retired,
    },
    /// A schema was applied.
    Schema {
        /// What was done.
        applied: SchemaApplied,
    },
    /// Rows were restored.
    Restored {
        /// What was done.
        report: RestoreReport,
    },
    /// Rows of the old database were put back.
    Preserved {
        /// Which.
        report: PutBack,
    },
    /// A verification passed.
    Verified {
        /// Every check.
        verdict: Verdict,
    },
}

impl Intent {
    /// For the journal.
    ///
    /// # Errors
    /// Never in practice; the types all have a JSON form.
    pub fn to_value(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self)
            .map_err(|e| Error::internal("an intent has no JSON form").caused_by(e))
    }

    /// From the journal.
    ///
    /// # Errors
    /// It is not an intent of this version.
    pub fn from_value(value: &serde_json::Value) -> Result<Self> {
        serde_json::from_value(value.clone())
            .map_err(|e| Error::corrupt("a recorded intent cannot be read").caused_by(e))
    }
}

impl Outcome {
    /// For the journal.
    ///
    /// # Errors
    /// Never in practice; the types all have a JSON form.
    pub fn to_value(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self)
            .map_err(|e| Error::internal("an outcome has no JSON form").caused_by(e))
    }

    /// From the journal.
    ///
    /// # Errors
    /// It is not an outcome of this version.
    pub fn from_value(value: &serde_json::Value) -> Result<Self> {
        serde_json::from_value(value.clone())
            .map_err(|e| Error::corrupt("a recorded outcome cannot be read").caused_by(e))
    }
}
