//! Ends a task at a point of what it tells.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio::task::AbortHandle;

use crate::engine::Report;
use crate::event::{Event, Progress, Sink};

/// Ends the task as soon as it tells of a point; without one, only listens.
#[derive(Default)]
pub(crate) struct Killer {
    point: Option<String>,
    task: Mutex<Option<AbortHandle>>,
    told: Mutex<Vec<String>>,
}

impl Sink for Killer {
    fn event(&self, event: &Event) {
        let text = point(event);
        if self.point.as_ref() == Some(&text)
            && let Some(task) = self.task.lock().expect("no one panics with it").take()
        {
            task.abort();
        }
        self.told.lock().expect("no one panics with it").push(text);
    }

    fn progress(&self, _: &Progress) {}
}

/// What an event tells, without what is another one each time.
fn point(event: &Event) -> String {
    let value = serde_json::to_value(&event.kind).expect("JSON");
    let text = |key: &str| value[key].as_str().unwrap_or_default();
    let all = format!("{} {} {}", text("event"), text("step"), text("message"));
    let words = all.split(' ').map(|word| match word.split_once("pvc-") {
        Some((before, _)) => format!("{before}pvc"),
        None if word.starts_with("projects/") => "a-backup".to_owned(),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ").trim().to_owned()
}

impl Killer {
    /// Strikes at `point`.
    pub(crate) fn at(point: &str) -> Arc<Self> {
        Arc::new(Self {
            point: Some(point.to_owned()),
            ..Self::default()
        })
    }

    /// What was told from `first` up to `last`, once each: of steps, and of what begins with one of
    /// `notes`. Reasons to wait are not among them, since they depend on how fast things go.
    pub(crate) fn points(&self, first: &str, last: &str, notes: &[&str]) -> Vec<String> {
        let told = self.told.lock().expect("no one panics with it");
        let place = |what: &str| told.iter().position(|t| t.starts_with(what)).expect(what);
        let mut points: Vec<String> = told[place(first)..=place(last)].to_vec();
        points.retain(|point| {
            let told = point.rsplit("  ").next().unwrap_or_default();
            !point.contains(": ")
                && (!point.starts_with("note") || notes.iter().any(|note| told.starts_with(note)))
        });
        let mut seen = BTreeSet::new();
        points.retain(|point| seen.insert(point.clone()));
        points
    }

    /// True if it has ended a task.
    pub(crate) fn struck(&self) -> bool {
        self.task.lock().expect("no one panics with it").is_none()
    }

    /// Does `work` in a task of its own, which ends where this says; then there is no report.
    pub(crate) async fn watch<F>(&self, work: F) -> Option<Report>
    where
        F: Future<Output = crate::Result<Report>> + Send + 'static,
    {
        let (go, gone) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            gone.await.expect("it is watched");
            work.await
        });
        *self.task.lock().expect("no one panics with it") = Some(task.abort_handle());
        go.send(()).expect("it waits");
        match task.await {
            Ok(report) => Some(report.expect("a report")),
            Err(e) if e.is_cancelled() => None,
            Err(e) => std::panic::resume_unwind(e.into_panic()),
        }
    }
}
