//! Numbers that are exact, and truth.

use std::io::Write;

use super::cursor::{Cursor, malformed, whole};
use crate::error::Result;

/// Each digit of a numeric stands for four decimal ones.
const DIGITS: usize = 4;
const BASE: i16 = 10_000;

/// What stands in a numeric's place for its sign.
const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// The most digits after the point that a numeric can show.
const MOST_SHOWN: u16 = 0x3FFF;

pub(super) fn boolean(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let [byte] = whole(value)?;
    out.push(if byte == 0 { b'f' } else { b't' });
    Ok(())
}

pub(super) fn int2(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    shown(i16::from_be_bytes(whole(value)?), out)
}

pub(super) fn int4(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    shown(i32::from_be_bytes(whole(value)?), out)
}

pub(super) fn int8(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    shown(i64::from_be_bytes(whole(value)?), out)
}

pub(super) fn oid(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    shown(u32::from_be_bytes(whole(value)?), out)
}

fn shown(number: impl std::fmt::Display, out: &mut Vec<u8>) -> Result<()> {
    write!(out, "{number}")?;
    Ok(())
}

/// The smallest units that it counts, as `lc_monetary` C has it: hundredths, with commas between
/// thousands. Whatever the fraction was where the value comes from, the count is what is stored.
pub(super) fn money(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let units = i64::from_be_bytes(whole(value)?);
    let (whole, hundredths) = (units.unsigned_abs() / 100, units.unsigned_abs() % 100);
    if units < 0 {
        out.push(b'-');
    }
    out.push(b'$');
    let digits = whole.to_string();
    for (place, digit) in digits.bytes().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(b',');
        }
        out.push(digit);
    }
    write!(out, ".{hundredths:02}")?;
    Ok(())
}

pub(super) fn numeric(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut from = Cursor::new(value);
    let count = usize::from(from.u16()?);
    let weight = from.i16()?;
    let sign = from.u16()?;
    let shown = from.u16()?;
    if from.left() != count * 2 {
        return Err(malformed("a number has more or fewer digits than it says"));
    }
    let mut digits = Vec::with_capacity(count);
    for _ in 0..count {
        let digit = from.i16()?;
        if !(0..BASE).contains(&digit) {
            return Err(malformed("a digit of a number is none"));
        }
        digits.push(digit);
    }
    if shown > MOST_SHOWN {
        return Err(malformed("a number has too many digits"));
    }
    match sign {
        POSITIVE => {}
        NEGATIVE => out.push(b'-'),
        NAN => return word("NaN", out),
        INFINITY => return word("Infinity", out),
        MINUS_INFINITY => return word("-Infinity", out),
        _ => return Err(malformed("the sign of a number is none")),
    }
    decimal(&digits, weight, usize::from(shown), out)
}

fn word(word: &str, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(word.as_bytes());
    Ok(())
}

/// The digits of a number whose first one stands for `weight` powers of the base.
fn decimal(digits: &[i16], weight: i16, shown: usize, out: &mut Vec<u8>) -> Result<()> {
    let digit = |place: i32| {
        let index = usize::try_from(i32::from(weight) - place).ok();
        index
            .and_then(|index| digits.get(index))
            .copied()
            .unwrap_or(0)
    };
    if weight < 0 {
        out.push(b'0');
    } else {
        write!(out, "{}", digit(i32::from(weight)))?;
        for place in (0..i32::from(weight)).rev() {
            write!(out, "{:04}", digit(place))?;
        }
    }
    if shown == 0 {
        return Ok(());
    }
    out.push(b'.');
    let end = out.len() + shown;
    let mut place = -1;
    while out.len() < end {
        write!(out, "{:0DIGITS$}", digit(place))?;
        place -= 1;
    }
    out.truncate(end);
    Ok(())
}
