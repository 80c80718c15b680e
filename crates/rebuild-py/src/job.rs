//! A verb at work, as Python sees it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rebuild_core::Result;
use rebuild_core::event::{Event, Progress, Sink};
use serde_json::{Value, json};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::failure::failure;

/// Work that goes on in the background. What it tells is kept here until it is asked for.
#[pyclass(frozen)]
pub(crate) struct Job {
    told: Arc<Told>,
    stop: CancellationToken,
    work: AbortHandle,
}

/// What the work has told so far.
#[derive(Default)]
pub(crate) struct Told {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Events that nobody has asked for yet. None is ever left out.
    events: VecDeque<Event>,
    /// The last progress of each kind; the ones before it are of no use to anybody.
    progress: BTreeMap<String, Progress>,
    result: Option<Value>,
    /// Called when there is something to ask for, once until it is asked for.
    wake: Option<Arc<Py<PyAny>>>,
    woken: bool,
}

impl Told {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, what: impl FnOnce(&mut State)) {
        let mut state = self.state();
        what(&mut state);
        self.changed.notify_all();
        if state.woken {
            return;
        }
        let Some(wake) = state.wake.clone() else {
            return;
        };
        state.woken = true;
        // Python's lock is only ever waited for without ours. An interpreter that ends needs no
        // call any more, and what a call raises is the package's own affair.
        drop(state);
        Python::try_attach(|py| wake.call0(py).map(drop));
    }

    /// Keeps how the work came out.
    pub(crate) fn end(&self, result: Result<Value>) {
        let result = match result {
            Ok(value) => json!({ "ok": value }),
            Err(e) => json!({ "error": failure(&e) }),
        };
        self.tell(|state| state.result = Some(result));
    }
}

impl Sink for Told {
    fn event(&self, event: &Event) {
        self.tell(|state| state.events.push_back(event.clone()));
    }

    fn progress(&self, progress: &Progress) {
        // Whoever looks, looks ten times in a second at most; nobody is woken for it.
        let mut state = self.state();
        state.progress.insert(progress.of.clone(), progress.clone());
    }
}

impl Job {
    pub(crate) fn new(told: Arc<Told>, stop: CancellationToken, work: AbortHandle) -> Self {
        Self { told, stop, work }
    }
}

#[pymethods]
impl Job {
    /// Waits until there is something to ask for, `seconds` at most. True once the work has ended.
    fn wait(&self, py: Python<'_>, seconds: f64) -> bool {
        py.detach(|| {
            let state = self.told.state();
            let nothing = |s: &mut State| s.events.is_empty() && s.result.is_none();
            let limit = Duration::from_secs_f64(seconds.clamp(0.0, 60.0));
            let waited = self.told.changed.wait_timeout_while(state, limit, nothing);
            let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            state.result.is_some()
        })
    }

    /// The events since the last time, in order, then the progress: each as JSON.
    fn drain(&self, py: Python<'_>) -> Vec<String> {
        let (events, progress) = py.detach(|| {
            let mut state = self.told.state();
            state.woken = false;
            let state = &mut *state;
            (
                std::mem::take(&mut state.events),
                std::mem::take(&mut state.progress),
            )
        });
        let events = events.iter().map(|event| json!(event).to_string());
        let progress = progress.values().map(|p| {
            let mut value = json!(p);
            value["event"] = json!("progress");
            value.to_string()
        });
        events.chain(progress).collect()
    }

    /// How it came out, as JSON: `{"ok": …}` or `{"error": …}`.
    fn result(&self, py: Python<'_>) -> PyResult<String> {
        let result = py.detach(|| self.told.state().result.clone());
        let result = result.ok_or_else(|| PyRuntimeError::new_err("the work has not ended"))?;
        Ok(result.to_string())
    }

    /// Asks the work to stop at the next safe point.
    fn stop(&self) {
        self.stop.cancel();
    }

    /// Leaves the work where it is, as a kill would.
    fn abort(&self) {
        self.work.abort();
    }

    /// Has `wake` called, from any thread, when there is something to ask for.
    fn on_change(&self, py: Python<'_>, wake: Py<PyAny>) {
        let wake = Arc::new(wake);
        let waiting = py.detach(|| {
            let mut state = self.told.state();
            state.wake = Some(wake.clone());
            !state.events.is_empty() || state.result.is_some()
        });
        if waiting {
            // What came before it was there would otherwise wait for the next event.
            let _ = wake.call0(py);
        }
    }
}
