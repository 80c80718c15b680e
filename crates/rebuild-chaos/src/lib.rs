//! Whole rebuilds of a real database by the real program, struck by faults, and what is left
//! afterwards.

// What fails here is a finding: it ends the trial, and the report has it.
#![allow(clippy::unwrap_used)]

pub mod arena;
pub mod faults;
pub mod random;
pub mod reliability;
pub mod report;
pub mod results;
pub mod services;
pub mod strike;
pub mod trial;
pub mod world;
