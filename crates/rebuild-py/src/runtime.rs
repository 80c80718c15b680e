//! The runtime that everything runs on.

use std::sync::{Mutex, PoisonError};

use pyo3::PyResult;
use pyo3::exceptions::PyRuntimeError;
use tokio::runtime::Runtime;

/// The runtime of this process. A fork has none of its parent's threads, so it gets its own; the
/// parent's is left as it is, since nothing in the child can end it.
pub(crate) fn runtime() -> PyResult<&'static Runtime> {
    static RUNTIME: Mutex<Option<(u32, &'static Runtime)>> = Mutex::new(None);
    let mut made = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let here = std::process::id();
    if let Some((process, runtime)) = *made
        && process == here
    {
        return Ok(runtime);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("rebuild")
        .build()
        .map_err(|e| PyRuntimeError::new_err(format!("threads could not be started: {e}")))?;
    let runtime = Box::leak(Box::new(runtime));
    *made = Some((here, runtime));
    Ok(runtime)
}
