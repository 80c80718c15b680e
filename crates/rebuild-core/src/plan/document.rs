//! The plan as data: what is shown, stored and executed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::means_production;
use super::{Drift, Survey, guards, infrastructure};
use crate::error::{Error, Result};
use crate::model::{Identity, RunId};
use crate::shell_word;
use crate::traits::{AppliedFile, BackupMode};

/// The format of a stored plan. A plan of another version is refused.
pub const PLAN_VERSION: u32 = 1;

/// How old and new stand to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The new database is built beside the old one, and the names change in one transaction
    /// once it is verified. Readers keep working until then.
    #[default]
    Aside,
    /// The old database is retired first, and the new one is built under its name.
    InPlace,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StepKind {
    /// Stop a workload.
    Stop {
        /// Its name.
        workload: String,
    },
    /// Take the backup.
    Backup {
        /// How much it holds.
        mode: BackupMode,
    },
    /// Read the backup back and prove it.
    CheckBackup,
    /// Move the old database aside (in place only).
    Retire,
    /// Apply what an infrastructure-as-code tool manages.
    Infrastructure {
        /// Its name.
        name: String,
    },
    /// Make the new database.
    Provision,
    /// Apply the schema.
    Schema,
    /// Put the rows back.
    Restore,
    /// Bring the schema to its newest version.
    Migrate,
    /// Put rows of the target back that outlive a refresh.
    Preserve,
    /// Apply the fixtures.
    Fixtures,
    /// Run a command that loads rows.
    Load {
        /// Its name.
        name: String,
    },
    /// Refresh materialised views and gather statistics.
    Finish,
    /// Verify the new database before it is in service.
    Verify,
    /// Put the new database in the old one's place.
    Promote,
    /// Start a workload again.
    Start {
        /// Its name.
        workload: String,
    },
    /// Run an after-step.
    Task {
        /// Its name.
        name: String,
    },
    /// Verify the database in service.
    VerifyLive,
}

impl StepKind {
    /// True if the step changes something outside of what it makes itself, so that there is
    /// something to take back. What was loaded into a new database goes with the database.
    pub fn has_undo(&self) -> bool {
        matches!(
            self,
            Self::Stop { .. } | Self::Start { .. } | Self::Retire | Self::Promote | Self::Provision
        )
    }

    /// True if the step may be left half done at once when the operator stops; the others finish
    /// first, which takes seconds.
    pub fn stops_at_once(&self) -> bool {
        !matches!(
            self,
            Self::Stop { .. } | Self::Start { .. } | Self::Retire | Self::Promote
        )
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStep {
    /// Unique in the plan, for example `stop-web`.
    pub id: String,
    /// What it does.
    #[serde(flatten)]
    pub kind: StepKind,
    /// What it does, in a line for people.
    pub title: String,
}

/// A guard that does not let the plan run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// The guard's name, for example `rights`.
    pub guard: String,
    /// What it found.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// What would happen, and what would be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The format; [`PLAN_VERSION`].
    pub version: u32,
    /// The target, pinned.
    pub target: Identity,
    /// Where it is, without the password.
    pub endpoint: String,
    /// The spec's label.
    pub environment: Option<String>,
    /// How old and new stand to each other.
    pub strategy: Strategy,
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
    /// What will be lost or taken out of service, a line each.
    pub losses: Vec<String>,
    /// What the operator should know, a line each.
    pub warnings: Vec<String>,
    /// The guards that refuse. A plan with any does not run.
    pub refusals: Vec<Refusal>,
    /// True if running it needs the target's name typed.
    pub needs_confirmation: bool,
    /// BLAKE3 of the spec's meaning, without secrets.
    pub spec_digest: String,
    /// BLAKE3 of the state the plan was made from (target, live and new schema, files, tools) and
    /// of the spec.
    pub digest: String,
    /// What the plan was made from.
    pub survey: Survey,
}

impl Plan {
    /// Reads a stored plan.
    ///
    /// # Errors
    /// It is no plan, or of another version.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_slice(bytes)
            .map_err(|e| Error::corrupt("this is not a plan").caused_by(e))?;
        if head.version != PLAN_VERSION {
            return Err(Error::corrupt(format!(
                "the plan is of version {}, and this program reads version {PLAN_VERSION}",
                head.version
            ))
            .hint("make the plan again with this version"));
        }
        serde_json::from_slice(bytes)
            .map_err(|e| Error::corrupt("the plan cannot be read").caused_by(e))
    }

    /// The plan for a file.
    ///
    /// # Errors
    /// Never in practice; the types all have a JSON form.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self)
            .map_err(|e| Error::internal("the plan has no JSON form").caused_by(e))
    }

    /// The drift, if it was looked for.
    pub fn drift(&self) -> Option<&Drift> {
        self.survey.drift.as_ref()
    }

    /// True if the spec's label means production, or the target says so itself.
    pub fn is_production(&self) -> bool {
        means_production(self.environment.as_deref()) || self.survey.says_production()
    }

    /// What is typed to take `run`, which follows this plan, back. A production target's name must be typed.
    pub fn rollback_command(&self, run: &RunId) -> String {
        self.typed(format!("rebuild rollback {run}"))
    }

    /// What is typed to destroy what `run` has set aside, once it is done.
    pub fn purge_command(&self, run: &RunId) -> String {
        self.typed(format!("rebuild purge {run}"))
    }

    fn typed(&self, command: String) -> String {
        match self.is_production() {
            true => format!("{command} --confirm {}", shell_word(&self.target.name)),
            false => command,
        }
    }

    /// Refuses if a guard does, or if confirmation is needed and `typed` is not the name.
    ///
    /// # Errors
    /// A refusal with every guard's message.
    pub fn permit_run(&self, typed: Option<&str>) -> Result<()> {
        guards::require_none(&self.refusals)?;
        if self.needs_confirmation && typed != Some(self.target.name.as_str()) {
            let label = self.environment.as_deref().unwrap_or("unlabelled");
            let why = if self.survey.destroys_data() {
                "the plan destroys infrastructure that holds data".to_owned()
            } else if self.survey.says_production() {
                format!(
                    "the comment of {:?} says that it is production",
                    self.target.name
                )
            } else {
                format!("{:?} is labelled {label}", self.target.name)
            };
            let name = &self.target.name;
            return Err(
                Error::refused(format!("{why}, so the name {name:?} must be typed"))
                    .hint(format!("give --confirm {}", shell_word(name))),
            );
        }
        Ok(())
    }

    /// Refuses if `now`, made from the state of this moment, differs from this plan.
    ///
    /// # Errors
    /// A refusal that says what changed.
    pub fn require_same_state(&self, now: &Self) -> Result<()> {
        if self.digest == now.digest {
            return Ok(());
        }
        let what = if !self.target.is_same_thing(&now.target) {
            format!("the target is {} now, and was {}", now.target, self.target)
        } else if self.spec_digest != now.spec_digest {
            "the spec has changed".to_owned()
        } else if let Some(moved) = self.server_elsewhere(now) {
            moved
        } else if self.survey.schema_hash != now.survey.schema_hash {
            "the schema of the target has changed".to_owned()
        } else if let Some(path) = self.changed_file(now) {
            format!("{path} has changed")
        } else if let Some(name) = infrastructure::changed(&self.survey, &now.survey) {
            format!("what there is to do for the infrastructure {name:?} has changed")
        } else if self.survey.new_schema_hash != now.survey.new_schema_hash {
            "the new schema has changed".to_owned()
        } else {
            "the server or its tools have changed".to_owned()
        };
        Err(Error::refused(format!("the plan is stale: {what}"))
            .hint("make a new plan with `rebuild plan`, and read it"))
    }

    /// How the place of the server differs: a clone has the identity of the original.
    fn server_elsewhere(&self, now: &Self) -> Option<String> {
        let place = |plan: &Self| {
            let server = &plan.survey.inventory.server;
            let folder = server.data_directory.as_deref().unwrap_or("unknown");
            format!("{:?} (data directory {folder:?})", server.address)
        };
        let (then, now) = (place(self), place(now));
        (then != now).then(|| format!("the server is at {now}, and was at {then}"))
    }

    /// The first schema file or fixture that only one of the two plans has as it is.
    fn changed_file<'a>(&'a self, now: &'a Self) -> Option<&'a str> {
        let differs = |one: &'a [AppliedFile], other: &[AppliedFile]| {
            let changed = one.iter().find(|file| !other.contains(file));
            changed.map(|file| file.path.as_str())
        };
        let (then, now) = (&self.survey, &now.survey);
        differs(&then.schema.files, &now.schema.files)
            .or_else(|| differs(&now.schema.files, &then.schema.files))
            .or_else(|| differs(&then.fixtures, &now.fixtures))
            .or_else(|| differs(&now.fixtures, &then.fixtures))
    }
}
