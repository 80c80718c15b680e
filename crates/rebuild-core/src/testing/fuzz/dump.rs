//! Dumps that other programs made.

use std::io::Read;

use super::journal::within;
use crate::postgres::schema::{StatementKind, split};
use crate::postgres::{DumpItem, DumpReader, Mapped, Packing, RoleMap};

/// How much of what is packed is read.
const MOST: u64 = 1 << 20;

/// Reads `data` as a dump, packed or not, in pieces of several sizes; and gives every statement
/// other roles.
///
/// # Panics
/// A property does not hold.
pub fn dump(data: &[u8]) {
    let head = &data[..data.len().min(512)];
    let mut sql = Vec::new();
    let read = match Packing::of(head) {
        // An archive is read by pg_restore.
        None => return,
        Some(Packing::Plain) => data.take(MOST).read_to_end(&mut sql),
        Some(Packing::Gzip) => {
            let unpacked = flate2::read::MultiGzDecoder::new(data);
            unpacked.take(MOST).read_to_end(&mut sql)
        }
        Some(Packing::Zstd) => {
            zstd::Decoder::new(data).and_then(|unpacked| unpacked.take(MOST).read_to_end(&mut sql))
        }
    };
    if read.is_ok() {
        statements(&sql);
    }
}

/// What was found, and how it ended.
type Found = (Vec<(String, Option<Vec<u8>>)>, Result<(), String>);

fn statements(sql: &[u8]) {
    let found = all(sql, sql.len().max(1));
    for piece in [1, 3, 64] {
        assert_eq!(all(sql, piece), found, "in pieces of {piece}");
    }
    as_a_file(sql, &found);
    for (statement, _) in &found.0 {
        other_roles(statement);
    }
}

fn all(sql: &[u8], piece: usize) -> Found {
    let mut reader = DumpReader::new("a.sql".to_owned(), sql);
    reader.piece = piece;
    let mut found = Vec::new();
    let ended = within(async {
        while let Some(item) = reader.next().await? {
            match item {
                DumpItem::Statement { text, .. } => found.push((text, None)),
                DumpItem::Copy { text, .. } => {
                    let mut rows = Vec::new();
                    while let Some(piece) = reader.rows().await? {
                        rows.extend_from_slice(&piece);
                    }
                    found.push((text, Some(rows)));
                }
            }
        }
        crate::Result::Ok(())
    });
    let lines = sql.iter().filter(|b| **b == b'\n').count() + 1;
    assert!((1..=lines).contains(&reader.line()));
    (found, ended.map_err(|e: crate::Error| e.to_string()))
}

/// The reader of whole files, which knows no commands, finds the same.
fn as_a_file(sql: &[u8], (found, ended): &Found) {
    let Ok(text) = std::str::from_utf8(sql) else {
        return;
    };
    if text.contains("\\restrict") {
        return;
    }
    let Ok(expected) = split(text) else {
        assert!(
            ended.is_err(),
            "a file is refused, and the same dump is not"
        );
        return;
    };
    let expected: Vec<(String, Option<Vec<u8>>)> = expected
        .iter()
        .map(|statement| match &statement.kind {
            StatementKind::CopyIn { data, .. } => {
                let rows = text.as_bytes()[data.clone()].to_vec();
                (statement.text(text).to_owned(), Some(rows))
            }
            _ => (statement.text(text).to_owned(), None),
        })
        .collect();
    assert!(
        expected.starts_with(found),
        "not a part of {expected:?}: {found:?}"
    );
    assert!(
        ended.is_err() || expected.len() == found.len(),
        "some of {expected:?} is lost"
    );
}

/// A statement stays one statement, and is done once its roles are others.
fn other_roles(statement: &str) {
    let roles = RoleMap::default()
        .rename("app", "other \"role")
        .leave_out("gone");
    let Ok(Mapped::Changed(changed)) = roles.apply(statement) else {
        return;
    };
    assert_ne!(changed, statement);
    let split = split(&format!("{changed};")).expect("it was one statement before");
    assert!(split.len() <= 1, "{statement:?} became {changed:?}");
}
