//! What is text in and text out.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rebuild_core::plan::Plan;
use rebuild_core::postgres::Environment;
use rebuild_core::traits::Functions;
use rebuild_core::{Error, Result, spec};
use serde_json::{Value, json};

use crate::failure::failure;
use crate::functions::PyFunctions;
use crate::runtime::runtime;

/// Reads the spec at `path` and checks it. Returns what it says, before any `${NAME}` is replaced,
/// as JSON: `{"ok": …}` or `{"error": …}`.
#[pyfunction]
pub(crate) fn read_spec(path: &str, env: Option<BTreeMap<String, String>>) -> String {
    match read(Path::new(path), env) {
        Ok(value) => json!({ "ok": value }).to_string(),
        Err(e) => json!({ "error": failure(&e) }).to_string(),
    }
}

fn read(path: &Path, env: Option<BTreeMap<String, String>>) -> Result<Value> {
    let environment = env.map_or_else(Environment::from_process, Environment::of);
    spec::load(path, &|name| environment.get(name).map(str::to_owned))?;
    let text = std::fs::read_to_string(path)?;
    let value: toml::Value = toml::from_str(&text)
        .map_err(|e| Error::usage("the spec changed while it was read").caused_by(e))?;
    serde_json::to_value(value)
        .map_err(|e| Error::internal("the spec has no JSON form").caused_by(e))
}

/// Checks a spec that is given as JSON, with paths relative to `folder`.
#[pyfunction]
pub(crate) fn check_spec(
    spec: &str,
    folder: &str,
    env: Option<BTreeMap<String, String>>,
) -> String {
    let environment = env.map_or_else(Environment::from_process, Environment::of);
    let lookup = |name: &str| environment.get(name).map(str::to_owned);
    let checked = serde_json::from_str(spec)
        .map_err(|e| Error::usage("this is no JSON").caused_by(e))
        .and_then(|value| spec::from_value(value, Path::new(folder), &lookup));
    match checked {
        Ok(_) => json!({ "ok": null }).to_string(),
        Err(e) => json!({ "error": failure(&e) }).to_string(),
    }
}

/// A plan for people.
#[pyfunction]
pub(crate) fn render_plan(plan: &str) -> PyResult<String> {
    let plan = Plan::from_json(plan.as_bytes()).map_err(|e| PyValueError::new_err(e.chain()))?;
    Ok(plan.render())
}

/// The command line, whose first word is the program's name. Returns the exit code.
#[pyfunction]
pub(crate) fn cli(
    py: Python<'_>,
    words: Vec<OsString>,
    functions: Option<Py<PyAny>>,
) -> PyResult<u8> {
    let runtime = runtime()?;
    let functions = functions.map(|f| Arc::new(PyFunctions(f)) as Arc<dyn Functions>);
    Ok(py.detach(|| runtime.block_on(rebuild_cli::run(words, functions))))
}
