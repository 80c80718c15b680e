//! Google Cloud APIs inside the process of a test.
//!
//! [`Google::start`] gives a server that real clients speak to: Google's own for Rust and Python,
//! `gcloud` and `bq`. Every request and every answer is compared with Google's published discovery
//! documents, which `scripts/google-discovery` fetches.

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
