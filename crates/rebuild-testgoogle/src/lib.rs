//! Google Cloud APIs inside the process of a test.
//!
//! [`Google::start`] gives a server that real clients speak to: Google's own for Rust and Python,
//! `gcloud` and `bq`. Every request and every answer is compared with Google's published discovery
//! documents, which `scripts/google-discovery` fetches. It is a model, not a copy: what it answers is
//! of the form that the real service answers in, what Cloud SQL has is in a real PostgreSQL server,
//! and what it does not have it says that it does not have.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use rebuild_testgoogle::{Fault, Google, OperationFault, Strike};
//!
//! let google = Google::start().await?;
//! let order = google.instance("shop", "europe-west1", "main");
//! let instance = order.password("secret").create().await?;
//! google.create_bucket("dumps").grant(
//!     &format!("serviceAccount:{}", instance.service_account()),
//!     "roles/storage.objectAdmin",
//! );
//! // Clients are told of these two.
//! println!("{} {}", google.url(), google.credentials_file()?.display());
//! // The first question is answered late, and the next backup begins when the test lets it.
//! let slow = google.fault(Fault::once("sql.instances.get", Strike::HoldAnswer));
//! let held = google.fault_operation("sql.backupRuns.insert", OperationFault::Hold);
//! slow.release();
//! held.release();
//! assert!(google.calls("sql.instances.delete").is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! To add a service, see `src/services/mod.rs`.

mod access;
mod buckets;
mod call;
mod clock;
mod discovery;
mod error;
mod fault;
mod google;
mod instances;
mod operations;
mod postgres;
mod record;
mod registry;
mod server;
mod services;
mod state;
mod validate;

pub use crate::buckets::Bucket;
pub use crate::call::{Answer, Call, Media, Result};
pub use crate::error::ApiError;
pub use crate::fault::{Fault, FaultHandle, Strike};
pub use crate::google::{Google, GoogleOptions};
pub use crate::instances::{NewInstance, SqlInstance};
pub use crate::operations::{Failure, OperationFault};
pub use crate::record::Request;
pub use crate::services::TransferOutcome;
