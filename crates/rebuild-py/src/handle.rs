//! What a function that is a step of a run may tell and ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rebuild_core::command::Redaction;
use rebuild_core::event::{EventKind, Events, Level, Unit};

/// The run's side of a call.
#[pyclass(frozen)]
#[derive(Clone)]
pub(crate) struct Handle {
    name: String,
    events: Events,
    redaction: Redaction,
    stopping: Arc<AtomicBool>,
}

impl Handle {
    pub(crate) fn new(name: &str, events: &Events, redaction: &Redaction) -> Self {
        Self {
            name: name.to_owned(),
            events: events.clone(),
            redaction: redaction.clone(),
            stopping: Arc::default(),
        }
    }

    pub(crate) fn ask_to_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

#[pymethods]
impl Handle {
    /// A line of the function's own, as a program's output is told.
    fn output(&self, line: &str) {
        for line in line.lines() {
            self.events.send(EventKind::Output {
                program: self.name.clone(),
                line: self.redaction.line(line),
            });
        }
    }

    /// A line that the operator should read.
    fn warn(&self, line: &str) {
        for line in line.lines() {
            let line = self.redaction.line(line);
            self.events.send(EventKind::Note {
                level: Level::Warning,
                message: format!("{}: {line}", self.name),
            });
        }
    }

    /// How far it is.
    fn progress(&self, done: u64, total: Option<u64>, unit: &str) -> PyResult<()> {
        let unit = match unit {
            "rows" => Unit::Rows,
            "bytes" => Unit::Bytes,
            "items" => Unit::Items,
            other => {
                return Err(PyValueError::new_err(format!(
                    "{other:?} is no unit: rows, bytes or items"
                )));
            }
        };
        self.events.progress(&self.name, done, total, unit);
        Ok(())
    }

    /// True once the operator, or the deadline, asked the function to stop.
    #[getter]
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
