//! Dates, times and spans of time.

use std::io::Write;

use super::Dialect;
use super::cursor::{Cursor, malformed, whole};
use crate::error::Result;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Days from 1 March of the year 0 to 1 January 2000, from which the server counts.
const EPOCH: i64 = 730_425;

/// Days in 400 years.
const ERA: i64 = 146_097;

pub(super) fn date(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    match i32::from_be_bytes(whole(value)?) {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        days => {
            let before_christ = day(i64::from(days), out)?;
            era(before_christ, out);
        }
    }
    Ok(())
}

pub(super) fn timestamp(value: &[u8], zone: &str, out: &mut Vec<u8>) -> Result<()> {
    match i64::from_be_bytes(whole(value)?) {
        i64::MAX => out.extend_from_slice(b"infinity"),
        i64::MIN => out.extend_from_slice(b"-infinity"),
        moment => {
            let before_christ = day(moment.div_euclid(DAY), out)?;
            out.push(b' ');
            clock(moment.rem_euclid(DAY), out)?;
            out.extend_from_slice(zone.as_bytes());
            era(before_christ, out);
        }
    }
    Ok(())
}

pub(super) fn time(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    of_day(i64::from_be_bytes(whole(value)?), out)
}

pub(super) fn timetz(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut from = Cursor::new(value);
    let (time, west) = (from.i64()?, from.i32()?);
    from.end()?;
    of_day(time, out)?;
    out.push(if west <= 0 { b'+' } else { b'-' });
    let seconds = west.unsigned_abs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(out, "{hours:02}")?;
    if minutes != 0 || seconds != 0 {
        write!(out, ":{minutes:02}")?;
    }
    if seconds != 0 {
        write!(out, ":{seconds:02}")?;
    }
    Ok(())
}

pub(super) fn interval(value: &[u8], dialect: Dialect, out: &mut Vec<u8>) -> Result<()> {
    let mut from = Cursor::new(value);
    let (time, days, months) = (from.i64()?, from.i32()?, from.i32()?);
    from.end()?;
    match (time, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) if dialect.infinite_intervals => {
            out.extend_from_slice(b"infinity");
            return Ok(());
        }
        (i64::MIN, i32::MIN, i32::MIN) if dialect.infinite_intervals => {
            out.extend_from_slice(b"-infinity");
            return Ok(());
        }
        _ => {}
    }
    let start = out.len();
    let mut after_minus = false;
    for (count, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if count == 0 {
            continue;
        }
        let space = if out.len() == start { "" } else { " " };
        let plus = if after_minus && count > 0 { "+" } else { "" };
        let plural = if count == 1 { "" } else { "s" };
        write!(out, "{space}{plus}{count} {unit}{plural}")?;
        after_minus = count < 0;
    }
    if time != 0 || out.len() == start {
        if out.len() > start {
            out.push(b' ');
        }
        if time < 0 {
            out.push(b'-');
        } else if after_minus {
            out.push(b'+');
        }
        clock_of(time.unsigned_abs(), out)?;
    }
    Ok(())
}

fn of_day(time: i64, out: &mut Vec<u8>) -> Result<()> {
    if (0..=DAY).contains(&time) {
        clock(time, out)
    } else {
        Err(malformed("no day has such a time"))
    }
}

fn clock(time: i64, out: &mut Vec<u8>) -> Result<()> {
    clock_of(time.unsigned_abs(), out)
}

/// Hours, minutes and seconds, with as many digits of a fraction as there are.
fn clock_of(time: u64, out: &mut Vec<u8>) -> Result<()> {
    let unit = |unit: i64| unit.unsigned_abs();
    let (hours, minutes) = (time / unit(HOUR), time / unit(MINUTE) % 60);
    let (seconds, fraction) = (time / unit(SECOND) % 60, time % unit(SECOND));
    write!(out, "{hours:02}:{minutes:02}:{seconds:02}")?;
    if fraction != 0 {
        write!(out, ".{fraction:06}")?;
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    Ok(())
}

/// The date so many days after the server's first one; true if it is before Christ.
fn day(days: i64, out: &mut Vec<u8>) -> Result<bool> {
    // Years are counted from March, so that a leap day is the last of its year.
    let days = days + EPOCH;
    let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let shown = if year > 0 { year } else { 1 - year };
    write!(out, "{shown:04}-{month:02}-{day:02}")?;
    Ok(year <= 0)
}

fn era(before_christ: bool, out: &mut Vec<u8>) {
    if before_christ {
        out.extend_from_slice(b" BC");
    }
}
