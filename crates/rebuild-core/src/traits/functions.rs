//! Functions of the program that runs a spec, as parts of the run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Restorer, Task, Verifier, Workload};
use crate::error::Result;
use crate::model::Endpoint;

/// A function that a spec names.
#[derive(Clone, Debug)]
pub struct FunctionCall {
    /// What the spec calls the part that it plays, for example `genes`.
    pub name: String,
    /// Which function, as the spec names it, for example `pipeline:load_genes`.
    pub function: String,
    /// The folder of the spec.
    pub folder: PathBuf,
    /// The target's server; the database that the function works on is named by the call.
    pub server: Endpoint,
    /// How long one call may take. The implementer keeps to it.
    pub timeout: Duration,
}

/// Finds the functions that a spec names: `function = "module:name"`. A program that embeds this
/// crate has one, such as the Python package, and takes part in a run by it; what it finds is
/// recorded, resumed and taken back as a command would be.
///
/// Each is asked for before anything is touched, so that a function that does not exist is a
/// refusal and no failure in the middle of a run.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
pub trait Functions: Send + Sync {
    /// A function that fills a database or looks after it: the schema, a load, an after-step.
    ///
    /// # Errors
    /// There is no such function.
    fn task(&self, call: &FunctionCall) -> Result<Arc<dyn Task>>;

    /// A function that restores rows. It says of itself what it does with rows that an earlier,
    /// broken call left.
    ///
    /// # Errors
    /// There is no such function.
    fn restorer(&self, call: &FunctionCall) -> Result<Arc<dyn Restorer>>;

    /// A function that looks whether a database is as it should be.
    ///
    /// # Errors
    /// There is no such function.
    fn verifier(&self, call: &FunctionCall) -> Result<Arc<dyn Verifier>>;

    /// Something that stops and starts a program that writes to the target.
    ///
    /// # Errors
    /// There is no such thing.
    fn workload(&self, call: &FunctionCall) -> Result<Arc<dyn Workload>>;
}
