//! The native part of `import rebuild`.
use pyo3::prelude::*;

/// The private native module; the public package re-exports from it.
#[pymodule]
mod _rebuild {
    /// The version of the engine.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
