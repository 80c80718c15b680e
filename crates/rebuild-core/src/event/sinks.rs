//! Sinks that every user of the crate may want.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use super::{Event, EventKind, Level, Progress, Sink};

/// Writes each event as one line of JSON. Progress is left out.
pub struct JsonLines<W: Write + Send>(Mutex<W>);

impl<W: Write + Send> JsonLines<W> {
    /// Lines to `writer`. A write that fails is dropped: a closed pipe must not stop a run.
    pub fn new(writer: W) -> Self {
        Self(Mutex::new(writer))
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn event(&self, event: &Event) {
        if let Ok(line) = serde_json::to_string(event) {
            let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }

    fn progress(&self, _: &Progress) {}
}

/// Sends each event to `tracing`.
pub struct Tracing;

impl Sink for Tracing {
    fn event(&self, event: &Event) {
        let run = event.run.as_ref().map(tracing::field::display);
        match &event.kind {
            EventKind::Note {
                level: Level::Warning,
                message,
            } => tracing::warn!(run, seq = event.seq, "{message}"),
            EventKind::StepFailed { step, error } | EventKind::UndoFailed { step, error } => {
                tracing::error!(run, seq = event.seq, step, "{error}");
            }
            kind => tracing::info!(run, seq = event.seq, ?kind),
        }
    }

    fn progress(&self, progress: &Progress) {
        tracing::trace!(
            of = progress.of,
            done = progress.done,
            total = progress.total
        );
    }
}

/// Keeps every event in memory, for tests and reports.
#[derive(Default)]
pub struct Collected(Mutex<Vec<Event>>);

impl Collected {
    /// What has come so far.
    pub fn events(&self) -> Vec<Event> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Sink for Collected {
    fn event(&self, event: &Event) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event.clone());
    }

    fn progress(&self, _: &Progress) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Events;
    use super::*;

    #[test]
    fn events_are_numbered_without_gaps() {
        let seen = Arc::new(Collected::default());
        let events = Events::new(None, vec![seen.clone()]);
        events.info("one");
        events.warn("two");
        let seqs: Vec<u64> = seen.events().iter().map(|e| e.seq).collect();
        assert_eq!(seqs, [1, 2]);
    }
}
