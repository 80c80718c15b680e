//! Real clients speak to the server: what they can do with it, it does right.

#![allow(clippy::unwrap_used)]

mod cli;
mod client;
mod cloud_run;
mod frame;
mod gcloud;
mod jobs;
mod python;
mod services;
mod sql;
mod storage;
