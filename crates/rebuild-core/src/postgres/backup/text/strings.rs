//! Bytes, bits, a single byte, and documents.

use std::io::Write;

use super::Dialect;
use super::cursor::{Cursor, malformed, whole};
use crate::error::Result;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Adds the byte in hexadecimal.
pub(super) fn hex(byte: u8, out: &mut Vec<u8>) {
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 0xf)]);
}

pub(super) fn bytea(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.reserve(2 + value.len() * 2);
    out.extend_from_slice(b"\\x");
    for byte in value {
        hex(*byte, out);
    }
    Ok(())
}

/// Zero is written as nothing at all.
pub(super) fn char(value: &[u8], dialect: Dialect, out: &mut Vec<u8>) -> Result<()> {
    match whole(value)? {
        [0] => {}
        [byte] if byte >= 0x80 && dialect.octal_chars => write!(out, "\\{byte:03o}")?,
        [byte] => out.push(byte),
    }
    Ok(())
}

pub(super) fn bits(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut from = Cursor::new(value);
    let count = from.i32()?;
    let count = usize::try_from(count).map_err(|_| malformed("it has fewer bits than none"))?;
    let bytes = from.bytes(count.div_ceil(8))?;
    from.end()?;
    out.reserve(count);
    for place in 0..count {
        let bit = bytes[place / 8] >> (7 - place % 8) & 1;
        out.push(b'0' + bit);
    }
    Ok(())
}

/// The first byte is the version of the form, and there is one so far.
pub(super) fn jsonb(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    match value.split_first() {
        Some((1, text)) => {
            out.extend_from_slice(text);
            Ok(())
        }
        _ => Err(malformed("it is of no known version of jsonb")),
    }
}
