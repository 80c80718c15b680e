//! Data on stdout, the rest on stderr.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use rebuild_core::event::{Events, JsonLines, Sink, Tracing};
use rebuild_core::{Error, clean, shell_word};
use serde::Serialize;

use crate::args::Format;
use crate::keep::USUAL_SPEC;
use crate::progress::Human;

/// A line on stderr. Where nobody reads it any more, because a pipe or a terminal was closed, a run
/// goes on all the same.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Verbs that read the spec, and that are advised.
const OF_A_SPEC: [&str; 13] = [
    "backup", "backups", "instance", "plan", "purge", "restore", "resume", "rollback", "run",
    "runs", "status", "verify", "worker",
];

/// Where everything is printed.
pub(crate) struct Output {
    format: Format,
    /// What a command needs to read the same spec: nothing, or `-f` and its name.
    spec: String,
}

impl Output {
    /// For a command that was given the spec `file`.
    pub(crate) fn new(format: Format, file: &Path) -> Self {
        let spec = match file.to_string_lossy() {
            usual if usual == USUAL_SPEC => String::new(),
            other => format!(" -f {}", shell_word(&other)),
        };
        Self { format, spec }
    }

    /// `text` with commands that read the spec of this one.
    pub(crate) fn advice(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("rebuild ") {
            let (before, after) = rest.split_at(at + "rebuild".len());
            out.push_str(before);
            let verb = after.split_whitespace().next().unwrap_or_default();
            let verb = verb.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            if OF_A_SPEC.contains(&verb) {
                out.push_str(&self.spec);
            }
            rest = after;
        }
        out + rest
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
                    say(&format!("\nhint: {}", clean(&self.advice(hint))));
                }
            }
            Format::Json => {
                let line = serde_json::json!({
                    "error": e.chain(),
                    "kind": format!("{:?}", e.kind()),
                    "hint": e.advice().map(|hint| self.advice(hint)),
                });
                say(&line.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_read_the_spec_that_was_given() {
        let text = "`rebuild resume R` goes on; or: rebuild rollback R. The rebuild of app; rebuild copy A B";
        let usual = Output::new(Format::Human, Path::new(USUAL_SPEC));
        assert_eq!(usual.advice(text), text);
        let other = Output::new(Format::Human, Path::new("my specs/app.toml"));
        assert_eq!(
            other.advice(text),
            "`rebuild -f 'my specs/app.toml' resume R` goes on; or: rebuild -f 'my specs/app.toml' \
             rollback R. The rebuild of app; rebuild copy A B"
        );
    }
}
