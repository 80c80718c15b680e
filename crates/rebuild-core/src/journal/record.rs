//! One record of a journal, as it is stored.
//!
//! Each is an object of its own, `runs/<run>/journal/00000001.json`, created if absent and never
//! changed. It holds the hash of the record before it, so that none can be taken out, changed or
//! put in without being noticed.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Program;
use crate::error::{Error, Result};

/// The format of a record. A record of another version is refused.
pub const RECORD_VERSION: u32 = 1;

/// How a run stands once it no longer moves by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The new database is in service, and verified. It can still be rolled back until the old
    /// one is purged.
    Done,
    /// Everything is as it was before. Final.
    RolledBack,
    /// It stopped half-way; it can be resumed or rolled back.
    Halted,
    /// The way back failed; it can be tried again.
    Stuck,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::RolledBack => "rolled back",
            Self::Halted => "halted",
            Self::Stuck => "stuck",
        })
    }
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Body {
    /// The run began. Always the first record, and only that.
    RunBegan {
        /// The whole plan.
        plan: Value,
        /// Its digest.
        plan_digest: String,
        /// The digest of the spec it was made from.
        spec_digest: String,
        /// The version of this program.
        program: String,
    },
    /// A step is about to act.
    StepIntent {
        /// The step.
        step: String,
        /// Everything the act needs.
        intent: Value,
    },
    /// A step is done.
    StepDone {
        /// The step.
        step: String,
        /// What came of it.
        outcome: Value,
        /// How long it took.
        seconds: f64,
    },
    /// A step failed.
    StepFailed {
        /// The step.
        step: String,
        /// The error's chain of messages.
        error: String,
    },
    /// Another process took the run up again.
    Resumed,
    /// The run turned back.
    RollbackBegan {
        /// Why.
        why: String,
    },
    /// The new database was in service, so that it must be kept on the way back.
    WentLive,
    /// A step is about to be undone.
    UndoIntent {
        /// The step.
        step: String,
    },
    /// A step was undone.
    UndoDone {
        /// The step.
        step: String,
    },
    /// A step could not be undone.
    UndoFailed {
        /// The step.
        step: String,
        /// The error's chain of messages.
        error: String,
    },
    /// The run stands still.
    Ended {
        /// How.
        ending: Ending,
    },
    /// What the run had set aside is being destroyed. The run cannot be rolled back any more.
    Purged {
        /// The name it was kept under.
        what: String,
    },
}

/// Which process wrote a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Writer {
    /// Random, new for each process that opens the journal.
    pub id: String,
    /// The process id, for people.
    pub pid: u32,
    /// Which program it runs, in its first record; records that are older have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Program>,
}

impl Writer {
    /// This process.
    pub(super) fn this_process() -> Self {
        Self {
            id: uuid::Uuid::now_v7().simple().to_string(),
            pid: std::process::id(),
            program: None,
        }
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The format; [`RECORD_VERSION`].
    pub version: u32,
    /// The position, from 1. Order is by this, never by the clock.
    pub seq: u64,
    /// When, by the writer's clock; for people.
    pub at: Timestamp,
    /// BLAKE3 of the bytes of the record before it; of nothing for the first.
    pub prev: String,
    /// Which process wrote it.
    pub writer: Writer,
    /// What it says.
    pub body: Body,
}

impl Record {
    /// The bytes that are stored.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let sealed = Sealed {
            hash: hash(&self.unsealed()?),
            record: self.clone(),
        };
        serde_json::to_vec(&sealed)
            .map_err(|e| Error::internal("a record has no JSON form").caused_by(e))
    }

    /// The bytes that are stored, once they are seen to be read as this very record: what JSON cannot
    /// hold, or holds too deep to be read, must not get into a journal. `name` is for the error.
    ///
    /// # Errors
    /// They are not.
    pub(crate) fn stored(&self, name: &str) -> Result<Vec<u8>> {
        let bytes = self.to_bytes()?;
        let read = Self::from_bytes(name, &bytes)
            .map_err(|e| e.context("a record could not be read again, and was not written"))?;
        if read == *self {
            return Ok(bytes);
        }
        Err(Error::internal(format!(
            "journal record {name} would be read as another one"
        )))
    }

    fn unsealed(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|e| Error::internal("a record has no JSON form").caused_by(e))
    }

    /// Reads stored bytes. `name` is for the error.
    ///
    /// # Errors
    /// They are no record, of another version, or not what was written.
    pub(crate) fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            record: HeadRecord,
        }
        #[derive(Deserialize)]
        struct HeadRecord {
            version: u32,
        }
        let damaged = |e: serde_json::Error| {
            Error::corrupt(format!("journal record {name} is damaged")).caused_by(e)
        };
        let head: Head = serde_json::from_slice(bytes).map_err(damaged)?;
        if head.record.version != RECORD_VERSION {
            return Err(Error::corrupt(format!(
                "journal record {name} is of version {}, and this program reads version {RECORD_VERSION}",
                head.record.version
            ))
            .hint("go on with the version of rebuild that began the run"));
        }
        let sealed: Sealed = serde_json::from_slice(bytes).map_err(damaged)?;
        // The bytes must be the very ones we would write, so that no change hides in spacing.
        if sealed.hash != hash(&sealed.record.unsealed()?) || sealed.record.to_bytes()? != bytes {
            return Err(Error::corrupt(format!(
                "journal record {name} is not what was written"
            )));
        }
        Ok(sealed.record)
    }
}

/// A record with its own hash, which finds what the JSON alone would let pass.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    hash: String,
    record: Record,
}

/// BLAKE3 in hexadecimal.
pub(crate) fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}
