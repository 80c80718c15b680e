//! Does an implementation keep the contract? One suite for each of the [traits](crate::traits).
//!
//! A contract's words are in the documentation of its trait. The suites hold an implementation to
//! them from outside: they call everything twice, aim at the wrong thing, offer the wrong permit,
//! and look at the world after each call. Every backend of this crate passes them, and one that
//! is written elsewhere can be held to the same.
//!
//! # Using them
//!
//! Depend on `rebuild-core` with the feature `testing` in `[dev-dependencies]`, write the *stage* of
//! the contract (a small trait that sets the scene and looks at the world by other means than the
//! implementation under test), and call the suite in a test. Each case gets a stage of its own, made
//! by the closure that the suite is given; what a stage has set up, it takes away when it is
//! dropped. A broken rule is a panic whose message names the rule.
//!
//! | contract | suite | stage |
//! |---|---|---|
//! | [`Backup`](crate::traits::Backup) | [`backup()`] | [`BackupStage`] |
//! | [`Teardown`](crate::traits::Teardown) | [`teardown()`] | [`TeardownStage`] |
//! | [`Provision`](crate::traits::Provision) | [`provision()`] | [`ProvisionStage`] |
//! | [`SchemaApplier`](crate::traits::SchemaApplier) | [`schema()`] | [`SchemaStage`] |
//! | [`Restorer`](crate::traits::Restorer) | [`restore()`] | [`RestoreStage`] |
//! | [`Verifier`](crate::traits::Verifier) | [`verify()`] | [`VerifyStage`] |
//! | [`Workload`](crate::traits::Workload) | [`workload()`] | [`WorkloadStage`] |
//! | [`Lock`](crate::traits::Lock) | [`lock()`] | [`LockStage`] |
//!
//! What is behind a [`Store`](crate::store::Store) is held to the store's contract by [`store()`],
//! which needs no stage.
//!
//! What they cannot see: an act that was killed half way (run the engine's own sweeps for that), and
//! whether an error was honest about an unknown outcome.
//!
//! # Example
//!
//! A service that writes as long as a flag file is there, and the proof that it is a workload:
//!
//! ```
//! use std::path::PathBuf;
//!
//! use async_trait::async_trait;
//! use rebuild_core::Result;
//! use rebuild_core::event::Ctx;
//! use rebuild_core::testing::conformance::{self, WorkloadStage};
//! use rebuild_core::traits::{Workload, WorkloadState};
//!
//! struct Flagged(PathBuf);
//!
//! #[async_trait]
//! impl Workload for Flagged {
//!     fn name(&self) -> String {
//!         "flagged".to_owned()
//!     }
//!
//!     async fn look(&self, _: &Ctx) -> Result<WorkloadState> {
//!         Ok(WorkloadState {
//!             running: self.0.try_exists()?,
//!             detail: serde_json::Value::Null,
//!         })
//!     }
//!
//!     async fn stop(&self, _: &Ctx, _: &WorkloadState) -> Result<()> {
//!         match std::fs::remove_file(&self.0) {
//!             Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
//!             _ => Ok(()),
//!         }
//!     }
//!
//!     async fn start(&self, ctx: &Ctx, before: &WorkloadState) -> Result<()> {
//!         if before.running {
//!             std::fs::write(&self.0, "")?;
//!             return Ok(());
//!         }
//!         self.stop(ctx, before).await
//!     }
//! }
//!
//! struct Stage {
//!     folder: tempfile::TempDir,
//!     workload: Flagged,
//! }
//!
//! impl Stage {
//!     fn new() -> Self {
//!         let folder = tempfile::tempdir().expect("a folder");
//!         let flag = folder.path().join("flag");
//!         std::fs::write(&flag, "").expect("a flag");
//!         Self { folder, workload: Flagged(flag) }
//!     }
//! }
//!
//! #[async_trait]
//! impl WorkloadStage for Stage {
//!     fn workload(&self) -> &dyn Workload {
//!         &self.workload
//!     }
//!
//!     async fn writes(&self) -> bool {
//!         self.folder.path().join("flag").exists()
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! conformance::workload(async || Stage::new()).await;
//! # }
//! ```

mod backup;
mod claim;
mod lock;
mod preserve;
mod provision;
mod restore;
mod scene;
mod schema;
mod store;
mod teardown;
#[cfg(test)]
mod tests;
mod verify;
mod workload;

pub use backup::{BackupStage, backup};
pub use lock::{LockStage, lock};
pub use preserve::{PreserveStage, preserve};
pub use provision::{ProvisionStage, provision};
pub use restore::{RestoreStage, restore};
pub use scene::{DatabaseScene, NamesScene};
pub use schema::{SchemaStage, schema};
pub use store::store;
pub use teardown::{TeardownStage, teardown};
pub use verify::{VerifyStage, verify};
pub use workload::{WorkloadStage, workload};
