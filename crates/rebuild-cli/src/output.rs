//! Data on stdout, the rest on stderr.

use std::io::Write;
use std::sync::Arc;

use rebuild_core::event::{Events, JsonLines, Sink, Tracing};
use rebuild_core::{Error, clean};
use serde::Serialize;

use crate::args::Format;
use crate::progress::Human;

/// A line on stderr. Where nobody reads it any more, because a pipe or a terminal was closed, a run
/// goes on all the same.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Where everything is printed.
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// The events of a command, on stderr.
    pub(crate) fn events(&self) -> Events {
        let sink: Arc<dyn Sink> = match self.format {
            Format::Human => Arc::new(Human::new()),
            Format::Json => Arc::new(JsonLines::new(std::io::stderr())),
        };
        Events::new(None, vec![sink, Arc::new(Tracing)])
    }

    /// A result: `text` for people, `data` for programs.
    pub(crate) fn data<T: Serialize>(&self, data: &T, text: impl FnOnce(&T) -> String) {
        let out = match self.format {
            Format::Human => clean(&text(data)),
            Format::Json => {
                serde_json::to_string_pretty(data)
                    .unwrap_or_else(|e| format!("{{\"error\":{:?}}}", e.to_string()))
                    + "\n"
            }
        };
        // A reader that went away (`| head`) is no failure of the command.
        let _ = std::io::stdout().write_all(out.as_bytes());
    }

    /// An error, each layer once, the hint after a blank line.
    pub(crate) fn error(&self, e: &Error) {
        match self.format {
            Format::Human => {
                say(&format!("error: {}", clean(&e.to_string())));
                let mut source = std::error::Error::source(e);
                while let Some(cause) = source {
                    say(&format!("  because: {}", clean(&cause.to_string())));
                    source = cause.source();
                }
                if let Some(hint) = e.advice() {
                    say(&format!("\nhint: {}", clean(hint)));
                }
            }
            Format::Json => {
                let line = serde_json::json!({
                    "error": e.chain(),
                    "kind": format!("{:?}", e.kind()),
                    "hint": e.advice(),
                });
                say(&line.to_string());
            }
        }
    }
}
