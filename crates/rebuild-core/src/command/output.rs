//! What a program prints: cut into lines, made safe to show, kept in bounds.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::event::{EventKind, Events};
use crate::secret::Secret;

/// The longest line that is passed on, in bytes; the rest of it is left out.
const LONGEST_LINE: usize = 8 * 1024;

/// How many of the last lines are kept.
const KEPT_LINES: usize = 100;

/// Replaces secrets in text.
#[derive(Clone)]
pub struct Redaction {
    /// Longest first, so that a secret within another one does not spoil the larger match.
    needles: Vec<Secret>,
    longest: usize,
}

impl Redaction {
    /// Replaces each of `secrets`, as it is and as it stands in a URL. One of several lines is
    /// replaced line by line, since that is how output is read.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut texts: Vec<String> = secrets
            .into_iter()
            .flat_map(|secret| secret.expose().lines())
            .filter(|line| !line.is_empty())
            .flat_map(|line| [line.to_owned(), super::percent::encode(line)])
            .collect();
        texts.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        texts.dedup();
        Self {
            longest: texts.first().map_or(0, String::len),
            needles: texts.into_iter().map(Secret::new).collect(),
        }
    }

    /// A line that may be shown and kept: without the secrets, without a character that a terminal
    /// would obey, and no longer than 8 KiB.
    pub fn line(&self, text: &str) -> String {
        shown(self.apply(text.to_owned()), false)
    }

    /// The last hundred lines of a text, each as [`line`](Self::line) shows it.
    pub fn last_lines(&self, text: &str) -> String {
        let lines: Vec<&str> = text.lines().collect();
        let kept = lines.iter().skip(lines.len().saturating_sub(KEPT_LINES));
        let kept: Vec<String> = kept.map(|line| self.line(line)).collect();
        kept.join("\n")
    }

    fn apply(&self, mut text: String) -> String {
        for needle in &self.needles {
            if text.contains(needle.expose()) {
                text = text.replace(needle.expose(), "***");
            }
        }
        text
    }
}

/// Reads one stream of a program to its end.
pub(super) struct Reader<R> {
    source: R,
    program: String,
    events: Events,
    redaction: Redaction,
    /// The line that is being read, so far as it will be passed on.
    line: Vec<u8>,
    /// True if bytes of the line were left out.
    cut: bool,
    /// True if the last byte was a carriage return, so that a line feed ends no second line.
    returned: bool,
    kept: VecDeque<String>,
    /// What was read, for a program whose output is data and not lines to show.
    captured: Option<Capture>,
}

/// Output that is data.
struct Capture {
    bytes: Vec<u8>,
    /// How much is kept; one byte more says that there was more.
    most: usize,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(source: R, program: &str, events: &Events, redaction: &Redaction) -> Self {
        Self {
            source,
            program: program.to_owned(),
            events: events.clone(),
            redaction: redaction.clone(),
            line: Vec::new(),
            cut: false,
            returned: false,
            kept: VecDeque::with_capacity(KEPT_LINES),
            captured: None,
        }
    }

    /// Keeps the first `most` bytes as they are, and shows nothing of them.
    pub(super) fn capturing(mut self, most: usize) -> Self {
        self.captured = Some(Capture {
            bytes: Vec::new(),
            most,
        });
        self
    }

    /// What was captured; `None` if there was more than was to be kept.
    pub(super) fn take_captured(&mut self) -> Option<Vec<u8>> {
        let captured = self.captured.take()?;
        (captured.bytes.len() <= captured.most).then_some(captured.bytes)
    }

    /// Reads until the stream ends. A read that fails ends it, too: what a program prints decides
    /// nothing.
    pub(super) async fn read(&mut self) {
        let mut chunk = vec![0; 16 * 1024];
        while let Ok(n @ 1..) = self.source.read(&mut chunk).await {
            if let Some(captured) = &mut self.captured {
                let room = (captured.most + 1).saturating_sub(captured.bytes.len());
                captured.bytes.extend_from_slice(&chunk[..n.min(room)]);
                continue;
            }
            for piece in chunk[..n].split_inclusive(|b| matches!(b, b'\n' | b'\r')) {
                self.take(piece);
            }
        }
    }

    /// The last lines, and one that has no end yet.
    pub(super) fn into_tail(mut self) -> String {
        if !self.line.is_empty() {
            self.end_line();
        }
        Vec::from(self.kept).join("\n")
    }

    /// Takes bytes of which at most the last one ends a line. A carriage return ends one as well:
    /// that is how programs draw progress.
    fn take(&mut self, piece: &[u8]) {
        let second_half = self.returned && piece == b"\n";
        self.returned = piece.ends_with(b"\r");
        if second_half {
            return;
        }
        let text = piece.strip_suffix(b"\n").unwrap_or(piece);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        // Enough beyond the limit is kept that no secret is cut in two and shown in part.
        let room = LONGEST_LINE + self.redaction.longest - self.line.len();
        self.line.extend_from_slice(&text[..text.len().min(room)]);
        self.cut |= text.len() > room;
        if text.len() < piece.len() {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let text = String::from_utf8_lossy(&self.line).into_owned();
        let mut text = self.redaction.apply(text);
        if self.cut {
            // The last bytes may be the beginning of a secret.
            let sure = text.len().saturating_sub(self.redaction.longest);
            truncate(&mut text, sure);
        }
        let line = shown(text, self.cut);
        self.line.clear();
        self.cut = false;
        if self.kept.len() == KEPT_LINES {
            self.kept.pop_front();
        }
        self.kept.push_back(line.clone());
        self.events.send(EventKind::Output {
            program: self.program.clone(),
            line,
        });
    }
}

/// The line as it may be shown: no longer than the limit, and without a character that a terminal
/// would obey.
fn shown(mut line: String, cut: bool) -> String {
    let cut = cut || line.len() > LONGEST_LINE;
    truncate(&mut line, LONGEST_LINE);
    let mut safe = String::with_capacity(line.len());
    for c in line.chars() {
        if c.is_control() && c != '\t' {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    if cut {
        safe.push('…');
    }
    safe
}

/// Cuts `text` to at most `length` bytes, between two characters.
fn truncate(text: &mut String, mut length: usize) {
    while !text.is_char_boundary(length.min(text.len())) {
        length -= 1;
    }
    text.truncate(length);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::Collected;

    #[test]
    fn what_a_function_says_is_kept_in_bounds() {
        let redaction = Redaction::new([&Secret::new("hunter2")]);
        assert_eq!(
            redaction.line("it's \u{1b}[1m hunter2"),
            "it's \\u{1b}[1m ***"
        );
        let long = "x".repeat(3 * LONGEST_LINE);
        assert_eq!(redaction.line(&long).len(), LONGEST_LINE + '…'.len_utf8());
        let many = (0..1000).map(|n| format!("{n}\n")).collect::<String>();
        let last = redaction.last_lines(&many);
        assert!(
            last.starts_with("900\n") && last.ends_with("\n999"),
            "{last}"
        );
    }

    async fn read(bytes: &[u8], secrets: &[Secret]) -> (Vec<String>, String) {
        let seen = Arc::new(Collected::default());
        let events = Events::new(None, vec![seen.clone()]);
        let redaction = Redaction::new(secrets.iter());
        let mut reader = Reader::new(bytes, "p", &events, &redaction);
        reader.read().await;
        let tail = reader.into_tail();
        let lines = seen
            .events()
            .into_iter()
            .map(|e| match e.kind {
                EventKind::Output { line, .. } => line,
                other => panic!("{other:?}"),
            })
            .collect();
        (lines, tail)
    }

    #[tokio::test]
    async fn lines_end_as_terminals_end_them() {
        let (lines, tail) = read(b"one\r\n\ntwo\r10%\r20%\nlast", &[]).await;
        assert_eq!(lines, ["one", "", "two", "10%", "20%", "last"]);
        assert_eq!(tail, "one\n\ntwo\n10%\n20%\nlast");
    }

    #[tokio::test]
    async fn control_characters_and_broken_text_are_made_safe() {
        let (lines, _) = read(b"\x1b[2Jred\x07 \xff\tend \xc2\x9b", &[]).await;
        assert_eq!(lines, ["\\u{1b}[2Jred\\u{7} \u{fffd}\tend \\u{9b}"]);
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut() {
        let (lines, _) = read(&vec![b'x'; 1_000_000], &[]).await;
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].len(), LONGEST_LINE + '…'.len_utf8());
        let (lines, _) = read(&"é".repeat(LONGEST_LINE).into_bytes(), &[]).await;
        assert!(lines[0].starts_with('é') && lines[0].ends_with("é…"));
    }

    #[tokio::test]
    async fn the_last_hundred_lines_are_kept() {
        let text: String = (0..1000).map(|n| format!("{n}\n")).collect();
        let (lines, tail) = read(text.as_bytes(), &[]).await;
        assert_eq!(lines.len(), 1000);
        assert!(tail.starts_with("900\n") && tail.ends_with("\n999"));
    }

    #[tokio::test]
    async fn secrets_do_not_show_in_any_form() {
        let secrets = [
            Secret::new("p@ss"),
            Secret::new("p@ss and more"),
            Secret::new("first\nsecond"),
            Secret::new(""),
        ];
        let (lines, tail) = read(
            b"a p@ss b\npostgresql://u:p%40ss@h\np@ss and more\nfirst\nsecond\n",
            &secrets,
        )
        .await;
        assert_eq!(
            lines,
            ["a *** b", "postgresql://u:***@h", "***", "***", "***"]
        );
        assert!(!tail.contains("ss"));
    }

    #[tokio::test]
    async fn a_secret_at_the_cut_does_not_show_in_part() {
        let secret = Secret::new("correct horse");
        for before in LONGEST_LINE - 13..LONGEST_LINE + 2 {
            let text = format!("{}correct horse battery", "x".repeat(before));
            let (lines, _) = read(text.as_bytes(), std::slice::from_ref(&secret)).await;
            assert!(
                !lines[0].contains("co"),
                "{before}: {:?}",
                &lines[0][8100..]
            );
        }
    }
}
