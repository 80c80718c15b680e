//! The contracts between the engine and a backend.
//!
//! Every trait is small and object-safe, with no default methods: look, act, take back. What
//! they share:
//!
//! - **Repeats.** Every act may be found half done, by a run that was killed in it, and is safe
//!   to call again with the same arguments: it first probes the world by identifier, and a second
//!   call changes nothing. The conformance suites in `testing` (feature `testing`) call
//!   everything twice.
//! - **Mismatch is a value.** A check that finds a difference returns it in a
//!   [`Verdict`](crate::model::Verdict); an error means "could not tell".
//! - **Permits.** What can lose data takes a [`DestroyPermit`] by value.
//! - **Unknown outcomes.** An error may come after the effect took place (the answer was lost).
//!   The caller looks before it acts again.

mod backup;
mod drop;
mod functions;
mod lock;
mod permit;
mod preserve;
mod provision;
mod restore;
mod schema;
mod survey;
mod task;
mod teardown;
mod verify;
mod workload;

pub use backup::{Backup, BackupMode, BackupSummary};
pub use drop::DropDatabase;
pub use functions::{FunctionCall, Functions};
pub use lock::Lock;
pub use permit::{DestroyPermit, ProvenBackup};
pub use preserve::{LeftOut, Preserver, PutBack, PutBackTable};
pub use provision::{Provision, ProvisionRequest};
pub use restore::{RestoreOutline, RestoreReport, Restorer, Unplaced};
pub use schema::{AppliedFile, SchemaApplied, SchemaApplier, SchemaState};
pub use survey::Surveyor;
pub use task::Task;
pub use teardown::{RetireRequest, Retired, Teardown};
pub use verify::{Verifier, VerifyRequest};
pub use workload::{Workload, WorkloadState};

#[cfg(any(test, feature = "testing"))]
pub use {
    backup::MockBackup, functions::MockFunctions, lock::MockLock, preserve::MockPreserver,
    provision::MockProvision, restore::MockRestorer, schema::MockSchemaApplier,
    survey::MockSurveyor, task::MockTask, teardown::MockTeardown, verify::MockVerifier,
    workload::MockWorkload,
};
