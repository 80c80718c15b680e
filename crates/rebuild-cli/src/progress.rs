//! Events and progress for people, on stderr.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rebuild_core::clean;
use rebuild_core::event::{Event, EventKind, Level, Progress, Sink, Unit};

use crate::output::say;

/// Prints one line for each event, and draws bars where stderr is a terminal.
pub(crate) struct Human {
    bars: MultiProgress,
    open: Mutex<HashMap<String, ProgressBar>>,
}

impl Human {
    pub(crate) fn new() -> Self {
        Self {
            bars: MultiProgress::new(),
            open: Mutex::new(HashMap::new()),
        }
    }

    fn line(&self, text: &str) {
        let text = clean(text);
        // Where stderr is no terminal the bars are hidden, and so would their println be.
        if self.bars.is_hidden() {
            say(&text);
        } else {
            let _ = self.bars.println(text);
        }
    }

    fn clear(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, bar) in open.drain() {
            bar.finish_and_clear();
        }
    }
}

impl Sink for Human {
    fn event(&self, event: &Event) {
        match &event.kind {
            EventKind::RunStarted { title, steps } => {
                let run = event
                    .run
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                self.line(&format!("{title}: {steps} steps ahead ({run})"));
            }
            EventKind::StepStarted { title, .. } => self.line(&format!("  ..  {title}")),
            EventKind::StepFinished { step, seconds } => {
                self.clear();
                self.line(&format!("  ok  {step} ({})", seconds_text(*seconds)));
            }
            EventKind::StepFailed { step, error } => {
                self.clear();
                self.line(&format!("FAIL  {step}: {error}"));
            }
            EventKind::UndoStarted { title, .. } => self.line(&format!("  ..  {title}")),
            EventKind::UndoFinished { step, seconds } => {
                self.line(&format!(
                    "  ok  undone: {step} ({})",
                    seconds_text(*seconds)
                ));
            }
            EventKind::UndoFailed { step, error } => {
                self.line(&format!("FAIL  could not undo {step}: {error}"));
            }
            EventKind::Note { level, message } => {
                let mark = match level {
                    Level::Info => "info",
                    Level::Warning => "WARN",
                };
                self.line(&format!("{mark}  {message}"));
            }
            EventKind::Output { program, line } => self.line(&format!("      {program}: {line}")),
            // The report says how it ended.
            EventKind::RunFinished { .. } => self.clear(),
            _ => {}
        }
    }

    fn progress(&self, progress: &Progress) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = open.entry(progress.of.clone()).or_insert_with(|| {
            let bar = self.bars.add(ProgressBar::new(0));
            bar.set_style(style(progress.unit, progress.total.is_some()));
            bar.set_message(clean(&progress.of));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        if let Some(total) = progress.total {
            bar.set_length(total);
        }
        bar.set_position(progress.done);
    }
}

/// Without a total there is no time left to tell.
fn style(unit: Unit, total: bool) -> ProgressStyle {
    let template = match (unit, total) {
        (Unit::Bytes, true) => {
            "      {msg} {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left"
        }
        (Unit::Rows, true) => "      {msg} {human_pos} of {human_len} rows, {per_sec}, {eta} left",
        (Unit::Items, true) => "      {msg} {pos} of {len}, {eta} left",
        (Unit::Bytes, false) => "      {msg} {bytes}, {binary_bytes_per_sec}",
        (Unit::Rows, false) => "      {msg} {human_pos} rows, {per_sec}",
        (Unit::Items, false) => "      {msg} {pos}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

pub(crate) fn seconds_text(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.1} min", seconds / 60.0)
    }
}
