//! Addresses and identifiers.

use std::io::Write;
use std::net::Ipv4Addr;

use super::cursor::{Cursor, malformed, whole};
use super::strings::hex;
use crate::error::Result;

/// How an address says of which kind it is.
const V4: u8 = 2;
const V6: u8 = 3;

/// `cidr`, which always shows the length of its network, or `inet`, which does where it is not an
/// address alone.
pub(super) fn network(value: &[u8], cidr: bool, out: &mut Vec<u8>) -> Result<()> {
    let mut from = Cursor::new(value);
    let family = from.u8()?;
    let bits = from.u8()?;
    let flag = from.u8()?;
    let length = from.u8()?;
    let most = match (family, length) {
        (V4, 4) => {
            write!(out, "{}", Ipv4Addr::from(from.array::<4>()?))?;
            32
        }
        (V6, 16) => {
            v6(from.array()?, out)?;
            128
        }
        _ => return Err(malformed("it is no address of a known kind")),
    };
    from.end()?;
    if bits > most || flag > 1 {
        return Err(malformed("its network is longer than its address"));
    }
    if cidr || bits < most {
        write!(out, "/{bits}")?;
    }
    Ok(())
}

/// The longest run of zeros is left out, if it is longer than one; the last two words are shown as
/// an address of version 4 where they are one.
fn v6(bytes: [u8; 16], out: &mut Vec<u8>) -> Result<()> {
    let (pairs, _) = bytes.as_chunks::<2>();
    let mut words = [0_u16; 8];
    for (word, pair) in words.iter_mut().zip(pairs) {
        *word = u16::from_be_bytes(*pair);
    }
    let (start, length) = longest_zeros(&words);
    let embedded = start == 0 && (length == 6 || (length == 5 && words[5] == 0xffff));
    for (place, word) in words.iter().enumerate() {
        if (start..start + length).contains(&place) {
            if place == start {
                out.push(b':');
            }
            continue;
        }
        if place != 0 {
            out.push(b':');
        }
        if place == 6 && embedded {
            let [.., a, b, c, d] = bytes;
            write!(out, "{a}.{b}.{c}.{d}")?;
            return Ok(());
        }
        write!(out, "{word:x}")?;
    }
    if length > 0 && start + length == words.len() {
        out.push(b':');
    }
    Ok(())
}

/// Where the first of the longest runs of zeros begins, and how long it is; one alone is none.
fn longest_zeros(words: &[u16; 8]) -> (usize, usize) {
    let mut best = (words.len(), 0);
    let mut at = 0;
    for run in words.chunk_by(|a, b| (*a == 0) == (*b == 0)) {
        if run[0] == 0 && run.len() > best.1 && run.len() > 1 {
            best = (at, run.len());
        }
        at += run.len();
    }
    best
}

pub(super) fn hardware<const N: usize>(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let bytes: [u8; N] = whole(value)?;
    for (place, byte) in bytes.into_iter().enumerate() {
        if place > 0 {
            out.push(b':');
        }
        hex(byte, out);
    }
    Ok(())
}

pub(super) fn uuid(value: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let bytes: [u8; 16] = whole(value)?;
    for (place, byte) in bytes.into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        hex(byte, out);
    }
    Ok(())
}
