//! Numbers with a fraction in binary, with as few digits as tell them from their neighbours.
//!
//! The server takes only digits that are strictly nearer to the number than to a neighbour, of
//! those the nearest, and of two that are as near the one whose last digit is even
//! (`src/common/d2s.c`, `f2s.c`). The standard library also takes those half way between, which
//! are read as the same number but are other digits.

use std::io::Write;

use super::cursor::whole;
use crate::error::Result;

/// What the two widths of numbers differ in.
trait Float: Copy + PartialEq + std::fmt::LowerExp + std::str::FromStr {
    /// From this power of ten on, an exponent is shown.
    const EXPONENT_FROM: i32;
    /// Digits that tell any number from its neighbours.
    const ENOUGH: usize;
    /// From here on, what is half way between two neighbours may have as few digits as they.
    const WHOLE: Self;

    fn is_small(self) -> bool;
}

impl Float for f32 {
    const EXPONENT_FROM: i32 = 6;
    const ENOUGH: usize = 9;
    const WHOLE: Self = 4_194_304.0;

    fn is_small(self) -> bool {
        self < Self::WHOLE
    }
}

impl Float for f64 {
    const EXPONENT_FROM: i32 = 15;
    const ENOUGH: usize = 17;
    const WHOLE: Self = 4_503_599_627_370_496.0;

    fn is_small(self) -> bool {
        self < Self::WHOLE
    }
}

pub(super) fn float4(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let number = f32::from_be_bytes(whole(value)?);
    if special(f64::from(number), out) {
        return Ok(());
    }
    shown(&shortest(number.abs()), f32::EXPONENT_FROM, out)
}

pub(super) fn float8(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let number = f64::from_be_bytes(whole(value)?);
    if special(number, out) {
        return Ok(());
    }
    shown(&shortest(number.abs()), f64::EXPONENT_FROM, out)
}

/// Writes what has no digits, or the sign of what has.
fn special(number: f64, out: &mut Vec<u8>) -> bool {
    if number.is_nan() {
        out.extend_from_slice(b"NaN");
        return true;
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    if number.is_infinite() {
        out.extend_from_slice(b"Infinity");
        return true;
    }
    if number == 0.0 {
        out.push(b'0');
        return true;
    }
    false
}

/// Digits, of which the first stands before the point, times ten to the power of `exponent`.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    digits: String,
    exponent: i32,
}

impl Decimal {
    /// Of what `LowerExp` writes.
    fn of(text: &str) -> Self {
        let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
        Self {
            digits: digits.chars().filter(char::is_ascii_digit).collect(),
            exponent: exponent.parse().unwrap_or(0),
        }
    }

    /// The next one with as many digits.
    fn above(&self) -> Option<Self> {
        let digits = (self.digits.parse::<u64>().ok()? + 1).to_string();
        let carried = i32::from(digits.len() > self.digits.len());
        Some(Self {
            exponent: self.exponent + carried,
            digits,
        })
    }

    /// It, and the least bit more: less than any number differs from what is half way.
    fn more(&self) -> Self {
        Self {
            digits: format!("{}{:0>40}", self.digits, 1),
            exponent: self.exponent,
        }
    }

    /// It, and the least bit less.
    fn less(&self) -> Option<Self> {
        let fewer = self.digits.parse::<u64>().ok()?.checked_sub(1)?.to_string();
        let borrowed = fewer == "0" || fewer.len() < self.digits.len();
        let digits = if borrowed {
            "9".repeat(self.digits.len())
        } else {
            fewer
        };
        Some(Self {
            digits: format!("{digits}{:9>40}", 9),
            exponent: self.exponent - i32::from(borrowed),
        })
    }

    fn reads_as<F: Float>(&self, number: F) -> bool {
        let (first, rest) = self.digits.split_at(1);
        let text = format!("{first}.{rest}e{}", self.exponent);
        text.parse::<F>().is_ok_and(|read| read == number)
    }

    /// Whether it is nearer to `number` than to any other of its kind.
    fn is_within<F: Float>(&self, number: F) -> bool {
        self.reads_as(number)
            && (number.is_small()
                || (self.more().reads_as(number)
                    && self.less().is_some_and(|less| less.reads_as(number))))
    }
}

/// The digits that the server writes of a number above zero.
fn shortest<F: Float>(number: F) -> Decimal {
    let fewest = Decimal::of(&format!("{number:e}"));
    for count in fewest.digits.len()..F::ENOUGH {
        let nearest = Decimal::of(&format!("{number:.*e}", count - 1));
        if nearest.is_within(number) {
            return nearest;
        }
        // Below a power of two numbers are twice as dense as above it.
        if let Some(above) = nearest.above().filter(|above| above.is_within(number)) {
            return above;
        }
    }
    Decimal::of(&format!("{number:.*e}", F::ENOUGH - 1))
}

fn shown(decimal: &Decimal, exponent_from: i32, out: &mut Vec<u8>) -> Result<()> {
    let digits = decimal.digits.trim_end_matches('0');
    let exponent = decimal.exponent;
    if !(-4..exponent_from).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{first}{point}{rest}e{sign}{:02}", exponent.abs())?;
        return Ok(());
    }
    let Ok(before) = usize::try_from(exponent + 1) else {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        write!(out, "0.{:0>width$}", digits, width = zeros + digits.len())?;
        return Ok(());
    };
    match digits.split_at_checked(before) {
        Some((whole, "")) if before > 0 => write!(out, "{whole}")?,
        Some(("", fraction)) => write!(out, "0.{fraction}")?,
        Some((whole, fraction)) => write!(out, "{whole}.{fraction}")?,
        None => write!(out, "{digits:0<before$}")?,
    }
    Ok(())
}
