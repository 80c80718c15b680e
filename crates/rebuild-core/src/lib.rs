//! Rebuild a PostgreSQL database end to end.
//!
//! See what is there, stop the writers, back up, provision, apply the schema, restore the rows,
//! verify, put it in service, and go back if anything fails. At every instant of a run, killed
//! anywhere, at least one proven copy of the data exists, and one command brings the database to
//! the new state or back to the old one.

#[cfg(feature = "cloudsql")]
pub mod cloudsql;
pub mod command;
pub mod engine;
mod environment;
pub mod error;
pub mod event;
#[cfg(feature = "gcp")]
pub mod gcp;
#[cfg(any(feature = "gcp", feature = "cloudsql"))]
pub mod google;
pub mod journal;
#[cfg(feature = "k8s")]
pub mod k8s;
pub mod model;
pub mod plan;
#[cfg(feature = "postgres")]
pub mod postgres;
// Without a backend nothing is kept in one.
#[cfg_attr(not(feature = "postgres"), allow(dead_code))]
mod private;
#[cfg(feature = "postgres")]
pub mod project;
// Without a backend nothing writes one.
#[cfg_attr(not(feature = "postgres"), allow(dead_code))]
mod sealed;
pub mod secret;
mod shell;
pub mod spec;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod traits;
// Without a backend nothing is shared.
#[cfg_attr(not(feature = "postgres"), allow(dead_code))]
pub mod work;

pub use environment::Environment;
pub use error::{Error, ErrorKind, Result, clean};
pub use secret::Secret;
pub use shell::shell_word;

/// The examples of the README are compiled with the others.
#[cfg(all(doctest, feature = "postgres"))]
#[doc = include_str!("../../../README.md")]
pub struct ReadmeExamples;
