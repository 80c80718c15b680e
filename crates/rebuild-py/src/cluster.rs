//! A throwaway server for tests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rebuild_core::Result;
use rebuild_core::postgres::{ClusterOptions, LocalCluster, Session};
use serde_json::json;

use crate::failure::failure;
use crate::runtime::runtime;

/// A server of our own, until it is stopped or this process ends.
#[pyclass(frozen)]
pub(crate) struct Cluster(Mutex<Option<LocalCluster>>);

impl Cluster {
    fn inner(&self) -> MutexGuard<'_, Option<LocalCluster>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&LocalCluster) -> T + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| self.inner().as_ref().map(work));
        done.ok_or_else(|| PyRuntimeError::new_err("the server was stopped"))
    }
}

/// An error of the core for the package, which makes one of its own of it.
fn raised<T>(result: Result<T>) -> PyResult<T> {
    result.map_err(|e| PyRuntimeError::new_err(failure(&e).to_string()))
}

#[pymethods]
impl Cluster {
    /// Makes and starts a server.
    #[new]
    fn new(
        py: Python<'_>,
        bin_dir: Option<PathBuf>,
        major: Option<u32>,
        settings: Vec<String>,
        tcp: bool,
    ) -> PyResult<Self> {
        let options = ClusterOptions {
            bin_dir,
            major,
            settings,
            tcp_port: tcp.then_some(0),
            ..ClusterOptions::default()
        };
        let runtime = runtime()?;
        let cluster = py.detach(|| runtime.block_on(LocalCluster::start(&options)));
        Ok(Self(Mutex::new(Some(raised(cluster)?))))
    }

    /// How to reach a database on it, as libpq names it.
    fn parameters(&self, py: Python<'_>, database: &str) -> PyResult<BTreeMap<String, String>> {
        self.with(py, |cluster| {
            let tcp = cluster.tcp_endpoint(database);
            let endpoint = tcp.unwrap_or_else(|| cluster.endpoint(database));
            let password = endpoint.password.as_ref();
            let password = password.map(|p| ("password", p.expose().to_owned()));
            let parameters = endpoint.parameters().into_iter().chain(password);
            parameters.map(|(k, v)| (k.to_owned(), v)).collect()
        })
    }

    /// The server's major version.
    fn major(&self, py: Python<'_>) -> PyResult<u32> {
        self.with(py, LocalCluster::major)
    }

    /// The folder of its programs.
    fn bin_dir(&self, py: Python<'_>) -> PyResult<PathBuf> {
        self.with(py, |cluster| cluster.bin_dir().to_path_buf())
    }

    /// Runs SQL, of one or more statements, and returns nothing.
    fn execute(&self, py: Python<'_>, database: &str, sql: &str) -> PyResult<()> {
        let runtime = runtime()?;
        let done = self.with(py, |cluster| {
            let endpoint = cluster.endpoint(database);
            runtime.block_on(async {
                let session = Session::open(&endpoint, "rebuild/testing").await?;
                // Ours see no schema but pg_catalog; the SQL of a test is written for psql.
                let usual = "set search_path = \"$user\", public";
                let done = match session.batch_execute(usual).await {
                    Ok(()) => session.batch_execute(sql).await,
                    failed => failed,
                };
                session.close().await;
                done.map_err(|e| rebuild_core::postgres::server_error("the SQL failed", e))
            })
        })?;
        raised(done)
    }

    /// Stops the server and removes it; nothing, where it was stopped already.
    fn stop(&self, py: Python<'_>) {
        let cluster = py.detach(|| self.inner().take());
        py.detach(|| drop(cluster));
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let major = self.with(py, LocalCluster::major);
        let state = major.map_or_else(|_| json!("stopped"), |major| json!(major));
        format!("<PostgreSQL {state}>")
    }
}
