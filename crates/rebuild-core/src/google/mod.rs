//! What every API of Google Cloud needs: an account, an address, patience, and errors in words.
//!
//! The clients are Google's own. They are told nothing of retries: a request is made again here, where
//! the deadline, the operator's stop and the lost answer are known of.

mod account;
mod address;
mod client;
mod failure;
#[cfg(feature = "cloudsql")]
mod json;
#[cfg(feature = "gcp")]
mod once;
#[cfg(all(test, feature = "cloudsql"))]
mod redirects;
mod wait;

pub(crate) use crate::event::Seen;
pub use account::Account;
pub use address::{Endpoints, GoogleApi};
pub(crate) use client::no_client;
pub use client::{Google, GoogleAddress};
#[cfg(feature = "cloudsql")]
pub(crate) use json::Asked;
