//! Statements that are refused before anything is run: those that only psql can run, and those
//! that would change how the rest of the file is read.

use super::split::Head;
use super::text::Fault;

/// How a COPY statement reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    /// `FROM stdin`: the rows follow in the file.
    In,
    /// No COPY statement.
    No,
}

/// Whether the statement is a COPY with its rows in the file
/// (<https://www.postgresql.org/docs/current/sql-copy.html>).
///
/// # Errors
/// It moves rows to or from anywhere else: there is nobody to read `stdout`, and a file or a
/// program of the server's machine is not the schema's business.
pub(super) fn copy(head: &Head<'_>, line: usize) -> Result<Copy, Fault> {
    if !head.starts(&["copy"]) {
        return Ok(Copy::No);
    }
    let outer: Vec<_> = head.outer().collect();
    let Some(n) = outer.iter().position(|w| w.is("from") || w.is("to")) else {
        return Ok(Copy::No);
    };
    let Some(end) = outer.get(n + 1) else {
        return Ok(Copy::No);
    };
    if end.is("program") || end.quoted {
        return Err(
            Fault::new(line, "COPY with a file or program of the server's machine")
                .hint("use COPY … FROM stdin with the rows in the file"),
        );
    }
    if outer[n].is("to") {
        return Err(Fault::new(line, "COPY … TO stdout has nobody to read it"));
    }
    if !end.is("stdin") && !end.is("stdout") {
        return Ok(Copy::No);
    }
    let words: Vec<_> = head.words().collect();
    let binary = outer[1].is("binary")
        || words
            .windows(2)
            .any(|w| w[0].is("format") && w[1].text.to_ascii_lowercase().contains("binary"));
    if binary {
        return Err(Fault::new(
            line,
            "COPY with binary rows cannot be part of a text file",
        ));
    }
    Ok(Copy::In)
}

/// Refuses a SET that changes how the file is read from there on.
///
/// # Errors
/// It turns `standard_conforming_strings` off, or says that the text is not UTF-8.
pub(super) fn settings(head: &Head<'_>, line: usize) -> Result<(), Fault> {
    if !head.starts(&["set"]) {
        return Ok(());
    }
    let mut outer = head.outer().skip(1).peekable();
    outer.next_if(|w| w.is("session") || w.is("local"));
    let Some(name) = outer.next() else {
        return Ok(());
    };
    outer.next_if(|w| w.is("to"));
    let value = outer.next().map(|w| w.text).unwrap_or_default();
    let value = value.trim_matches(['\'', '"']).to_ascii_lowercase();
    let name = name.text.trim_matches('"').to_ascii_lowercase();
    let fine: &[&str] = match name.as_str() {
        "standard_conforming_strings" => &["on", "true", "yes", "1"],
        "client_encoding" | "names" => &["utf8", "utf-8", "unicode"],
        _ => return Ok(()),
    };
    if fine.contains(&value.as_str()) {
        return Ok(());
    }
    Err(Fault::new(
        line,
        format!(
            "a file is read as UTF-8 with standard_conforming_strings on; it cannot set {name} to {value:?}"
        ),
    ))
}
