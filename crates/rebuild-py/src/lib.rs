//! The native part of `import rebuild`. What crosses the border is JSON; the public package makes
//! typed objects of it.

mod call;
mod cluster;
mod failure;
mod functions;
mod handle;
mod job;
mod runtime;
mod text;
mod verb;

use pyo3::prelude::*;

/// The private native module; the public package re-exports from it.
#[pymodule]
mod _rebuild {
    /// The version of the engine.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    use super::cluster::Cluster;
    #[pymodule_export]
    use super::handle::Handle;
    #[pymodule_export]
    use super::job::Job;
    #[pymodule_export]
    use super::text::{check_spec, cli, read_spec, render_plan};
    #[pymodule_export]
    use super::verb::start;
}
