//! Arrays of any number of dimensions.

use std::io::Write;

use super::cursor::{Cursor, malformed};
use super::{Dialect, Scalar};
use crate::error::Result;

/// The most dimensions that an array has.
const MOST: usize = 6;

/// One dimension: how many elements, and the number of the first.
struct Dimension {
    length: usize,
    first: i32,
}

pub(super) fn array(
    value: &[u8],
    element: Scalar,
    dialect: Dialect,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut from = Cursor::new(value);
    let dimensions = head(&mut from, element)?;
    let count = dimensions.iter().try_fold(1_usize, |count, dimension| {
        count.checked_mul(dimension.length)
    });
    // Each element has at least its length.
    let count = match count {
        Some(_) if dimensions.is_empty() => 0,
        Some(count) if count <= from.left() / 4 => count,
        _ => return Err(malformed("an array has fewer elements than it says")),
    };
    if count == 0 {
        out.extend_from_slice(b"{}");
        return from.end();
    }
    if dimensions.iter().any(|d| d.first != 1) {
        for Dimension { length, first } in &dimensions {
            let last = i64::from(*first) + i64::try_from(*length).unwrap_or(i64::MAX) - 1;
            write!(out, "[{first}:{last}]")?;
        }
        out.push(b'=');
    }
    elements(&mut from, &dimensions, count, (element, dialect), out)?;
    from.end()
}

fn head(from: &mut Cursor<'_>, element: Scalar) -> Result<Vec<Dimension>> {
    let count = usize::try_from(from.i32()?).ok();
    let Some(count) = count.filter(|count| *count <= MOST) else {
        return Err(malformed("no array has so many dimensions"));
    };
    if !matches!(from.i32()?, 0 | 1) {
        return Err(malformed("the flags of an array are none"));
    }
    if from.u32()? != element.oid() {
        return Err(malformed("the elements of an array are of another type"));
    }
    let mut dimensions = Vec::with_capacity(count);
    for _ in 0..count {
        let length = usize::try_from(from.i32()?)
            .map_err(|_| malformed("a dimension of an array has a negative length"))?;
        dimensions.push(Dimension {
            length,
            first: from.i32()?,
        });
    }
    Ok(dimensions)
}

/// The elements, the last dimension first, each dimension in braces.
fn elements(
    from: &mut Cursor<'_>,
    dimensions: &[Dimension],
    count: usize,
    (element, dialect): (Scalar, Dialect),
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut text = Vec::new();
    for place in 0..count {
        // A brace opens wherever a dimension begins anew, and closes wherever one is full.
        let opening = turns(dimensions, place);
        if place > 0 {
            out.push(b',');
        }
        out.extend(std::iter::repeat_n(b'{', opening));
        match from.field()? {
            None => out.extend_from_slice(b"NULL"),
            Some(value) => {
                text.clear();
                element.write(value, dialect, &mut text)?;
                quoted(&text, out);
            }
        }
        out.extend(std::iter::repeat_n(b'}', turns(dimensions, place + 1)));
    }
    Ok(())
}

/// How many of the inner dimensions begin anew at an element.
fn turns(dimensions: &[Dimension], place: usize) -> usize {
    let mut size = 1;
    dimensions
        .iter()
        .rev()
        .take_while(|dimension| {
            size *= dimension.length;
            place.is_multiple_of(size)
        })
        .count()
}

fn quoted(text: &[u8], out: &mut Vec<u8>) {
    let special = |byte: &u8| {
        matches!(
            byte,
            b'"' | b'\\' | b'{' | b'}' | b',' | b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c
        )
    };
    if !text.is_empty() && !text.eq_ignore_ascii_case(b"null") && !text.iter().any(special) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
