//! Large objects: what they hold, in a few bytes, from the server and from a dump.

use xxhash_rust::xxh3::Xxh3;

use super::manifest::LargeObjectEntry;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::postgres::rows::RowOptions;
use crate::postgres::{Session, server_error};

/// Bytes of each object that are read together with those of others; most objects are small.
const FIRST: i32 = 64 * 1024;
/// Objects that are read together.
const TOGETHER: i64 = 64;
/// Bytes that are read at a time of an object that is larger than [`FIRST`].
const PIECE: i32 = 2 << 20;

/// Adds large objects up, one after the other.
#[derive(Default)]
pub(super) struct LargeObjectSum {
    sum: LargeObjectEntry,
    open: Option<Xxh3>,
}

impl LargeObjectSum {
    /// Begins the object `oid`.
    pub(super) fn begin(&mut self, oid: u32) {
        self.close();
        let mut hash = Xxh3::new();
        hash.update(&oid.to_be_bytes());
        self.open = Some(hash);
        self.sum.count += 1;
    }

    /// Adds bytes to the object that was begun last.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        if let Some(hash) = &mut self.open {
            hash.update(bytes);
            self.sum.bytes += bytes.len() as u64;
        }
    }

    fn close(&mut self) {
        if let Some(hash) = self.open.take() {
            self.sum.hash.add_row(hash.digest128());
        }
    }

    /// The sum of all.
    pub(super) fn finish(mut self) -> LargeObjectEntry {
        self.close();
        self.sum
    }
}

/// Reads every large object that `session` sees.
///
/// # Errors
/// One may not be read by this role, or the server could not be asked.
pub(in crate::postgres) async fn add_up(
    ctx: &Ctx,
    session: &Session,
    options: &RowOptions,
) -> Result<LargeObjectEntry> {
    let mut sum = LargeObjectSum::default();
    let mut after = 0u32;
    loop {
        let rows = ctx
            .within(options.stall, "reading large objects", async {
                session
                    .query(
                        "select m.oid, pg_catalog.lo_get(m.oid, 0, $2)
                           from (select oid from pg_catalog.pg_largeobject_metadata
                                  where oid > $1 order by oid limit $3) as m
                          order by m.oid",
                        &[&after, &FIRST, &TOGETHER],
                    )
                    .await
                    .map_err(unreadable)
            })
            .await?;
        let Some(last) = rows.last() else {
            return Ok(sum.finish());
        };
        after = last.get(0);
        for row in &rows {
            let (oid, bytes): (u32, &[u8]) = (row.get(0), row.get(1));
            sum.begin(oid);
            sum.add(bytes);
            if i32::try_from(bytes.len()) == Ok(FIRST) {
                add_rest(ctx, session, options, oid, &mut sum).await?;
            }
        }
    }
}

async fn add_rest(
    ctx: &Ctx,
    session: &Session,
    options: &RowOptions,
    oid: u32,
    sum: &mut LargeObjectSum,
) -> Result<()> {
    let mut offset = i64::from(FIRST);
    loop {
        let piece: Vec<u8> = ctx
            .within(options.stall, &format!("large object {oid}"), async {
                let row = session
                    .query_one(
                        "select pg_catalog.lo_get($1, $2, $3)",
                        &[&oid, &offset, &PIECE],
                    )
                    .await
                    .map_err(unreadable)?;
                Ok(row.get(0))
            })
            .await?;
        sum.add(&piece);
        offset += i64::from(PIECE);
        if i32::try_from(piece.len()) != Ok(PIECE) {
            return Ok(());
        }
    }
}

fn unreadable(e: tokio_postgres::Error) -> Error {
    server_error("could not read the large objects", e)
}

/// Reads the large objects out of the SQL that pg_restore makes of a dump, line by line.
#[derive(Default)]
pub(super) struct LargeObjectScript {
    sum: LargeObjectSum,
    cut: Vec<u8>,
}

impl LargeObjectScript {
    /// Takes the next piece of the script.
    ///
    /// # Errors
    /// A line that writes to a large object cannot be read.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<()> {
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            if self.cut.is_empty() {
                self.line(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.cut);
                whole.extend_from_slice(line);
                self.line(&whole)?;
            }
            rest = &after[1..];
        }
        self.cut.extend_from_slice(rest);
        Ok(())
    }

    /// The sum of all large objects in it.
    pub(super) fn finish(self) -> LargeObjectEntry {
        self.sum.finish()
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        let broken = || Error::corrupt("a line of the large objects cannot be read");
        if let Some(rest) = line.strip_prefix(b"SELECT pg_catalog.lo_open('") {
            let digits: Vec<u8> = rest
                .iter()
                .copied()
                .take_while(u8::is_ascii_digit)
                .collect();
            let oid = std::str::from_utf8(&digits)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(broken)?;
            self.sum.begin(oid);
        } else if let Some(rest) = line.strip_prefix(b"SELECT pg_catalog.lowrite(0, '\\x") {
            let hex = rest.strip_suffix(b"');").ok_or_else(broken)?;
            self.sum.add(&from_hex(hex).ok_or_else(broken)?);
        }
        Ok(())
    }
}

fn from_hex(hex: &[u8]) -> Option<Vec<u8>> {
    let digit = |c: &u8| char::from(*c).to_digit(16);
    let (pairs, rest) = hex.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_adds_up_to_what_the_objects_hold() {
        let script = b"SET x = 1;\nSELECT pg_catalog.lo_open('7', 131072);\n\
            SELECT pg_catalog.lowrite(0, '\\x6162');\nSELECT pg_catalog.lowrite(0, '\\x00ff');\n\
            SELECT pg_catalog.lo_close(0);\n\nSELECT pg_catalog.lo_open('9', 131072);\n\
            SELECT pg_catalog.lo_close(0);\n";
        let mut expected = LargeObjectSum::default();
        expected.begin(7);
        expected.add(b"ab\x00\xff");
        expected.begin(9);
        let expected = expected.finish();
        assert_eq!((expected.count, expected.bytes), (2, 4));
        for size in 1..script.len() {
            let mut reader = LargeObjectScript::default();
            for piece in script.chunks(size) {
                reader.feed(piece).expect("fine");
            }
            assert_eq!(reader.finish(), expected);
        }
        let mut reader = LargeObjectScript::default();
        assert!(
            reader
                .feed(b"SELECT pg_catalog.lowrite(0, '\\x616');\n")
                .is_err()
        );
    }
}
