//! What containers print.

use std::sync::Mutex;

use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

use crate::state::lock;

/// One line, with its end if it had one.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) time: Timestamp,
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_error: bool,
}

/// The output of one run of a container.
pub(crate) struct Log {
    lines: Mutex<Vec<Line>>,
    /// How many lines there are, and whether these are all.
    changed: watch::Sender<(usize, bool)>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            changed: watch::Sender::new((0, false)),
        }
    }
}

impl Log {
    /// Takes over what a program prints until it ends.
    pub(crate) async fn take(&self, output: impl AsyncRead + Unpin, is_error: bool) {
        let mut output = BufReader::new(output);
        loop {
            let mut bytes = Vec::new();
            match output.read_until(b'\n', &mut bytes).await {
                Ok(read) if read > 0 => self.add(bytes, is_error),
                _ => return,
            }
        }
    }

    fn add(&self, bytes: Vec<u8>, is_error: bool) {
        let mut lines = lock(&self.lines);
        lines.push(Line {
            time: Timestamp::now(),
            bytes,
            is_error,
        });
        self.changed.send_replace((lines.len(), false));
    }

    /// Says that nothing more comes.
    pub(crate) fn close(&self) {
        self.changed.send_modify(|state| state.1 = true);
    }

    /// The lines from a number on, and whether more can come.
    pub(crate) fn from(&self, start: usize) -> (Vec<Line>, bool) {
        let open = !self.changed.borrow().1;
        let lines = lock(&self.lines);
        (lines.get(start..).unwrap_or_default().to_vec(), open)
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<(usize, bool)> {
        self.changed.subscribe()
    }
}
