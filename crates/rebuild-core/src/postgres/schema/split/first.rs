//! The first statement of a text that is not all there.

use std::ops::Range;

use super::Splitter;
use crate::postgres::schema::refuse::{self, Copy};
use crate::postgres::schema::text::Fault;

/// What a text that may go on begins with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// White space and comments, as far as it goes.
    Blank,
    /// A statement that does not end in this text.
    Unfinished,
    /// A statement.
    Whole {
        /// Its bytes, without the semicolon.
        range: Range<usize>,
        /// The first byte after its semicolon.
        end: usize,
        /// Whether the rows of a COPY follow, from the next line on.
        rows: bool,
    },
}

/// The first statement of `text`, for readers that hold a part of a file at a time.
///
/// # Errors
/// As [`split`](super::split), with lines counted from the beginning of `text`. Where a quote or a comment has
/// no end, that may be because the text goes on.
pub(crate) fn first(text: &str) -> Result<First, Fault> {
    let mut splitter = Splitter::new(text);
    let Some(scanned) = splitter.scan()? else {
        return Ok(First::Blank);
    };
    let Some(end) = scanned.semicolon else {
        return Ok(First::Unfinished);
    };
    let line = splitter.line(scanned.range.start);
    refuse::settings(&scanned.head, line)?;
    let rows = refuse::copy(&scanned.head, line)? == Copy::In;
    Ok(First::Whole {
        range: scanned.range,
        end,
        rows,
    })
}
