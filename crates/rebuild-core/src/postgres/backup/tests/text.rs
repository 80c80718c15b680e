//! Values as text, against what the server itself writes of them.

mod random;
mod values;

use bytes::Bytes;
use futures::{SinkExt, TryStreamExt};

use values::{NEWER, TYPES};

use super::*;
use crate::model::RowForm;
use crate::postgres::backup::TableEntry;
use crate::postgres::backup::tables_alone;
use crate::postgres::backup::text::{Dialect, ENCODINGS, Layout, Lines, Rows, ToUtf8};
use crate::postgres::rows::scan::{BINARY_HEADER, RowScanner, Tally};
use crate::postgres::rows::tables::read_tables;

/// The whole of a COPY.
async fn copied(session: &Session, sql: &str) -> Vec<u8> {
    let stream = session.copy_out(sql).await.expect(sql);
    let add = |mut all: Vec<u8>, piece: Bytes| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    };
    stream.try_fold(Vec::new(), add).await.expect(sql)
}

async fn copy_in(session: &Session, sql: &str, bytes: Vec<u8>) {
    let sink = session.copy_in(sql).await.expect(sql);
    let mut sink = std::pin::pin!(sink);
    sink.send(Bytes::from(bytes)).await.expect(sql);
    sink.finish().await.expect(sql);
}

/// A session as those are that read rows.
async fn reader(world: &World) -> Session {
    let session = world.session().await;
    let set = "set lc_monetary = 'C'; set search_path = public";
    session.batch_execute(set).await.expect("set");
    session
}

/// The table as a manifest has it.
async fn entry_of(session: &Session, name: &str) -> TableEntry {
    let mut tables = read_tables(session).await.expect("the tables");
    tables.retain(|table| table.table.name == name);
    let manifest = tables_alone(session, &tables).await.expect("a manifest");
    manifest.tables.into_iter().next().expect("the table")
}

fn lines(entry: &TableEntry, stream: &[u8], layout: Layout, dialect: Dialect) -> Vec<u8> {
    let mut rows = Rows::of(entry, dialect, ToUtf8::from("UTF8")).expect("known types");
    let mut lines = Lines::new(layout, entry.columns.len());
    if layout == Layout::Csv {
        for column in &entry.columns {
            lines.value(column.name.as_bytes());
        }
        lines.end();
    }
    let mut scanner = RowScanner::new(entry.form);
    let mut tally = Tally::new(entry.columns.len());
    for piece in stream.chunks(1000) {
        let fed = scanner.feed(piece, &mut tally, |whole| rows.write(whole, &mut lines));
        fed.expect("whole rows");
    }
    scanner.end().expect("whole");
    let mut out = Vec::new();
    lines.take(&mut out).expect("taken");
    out
}

#[track_caller]
fn assert_same(what: &str, ours: &[u8], theirs: &[u8]) {
    let lines = |bytes: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(bytes);
        text.split('\n').map(str::to_owned).collect()
    };
    let (ours_lines, theirs_lines) = (lines(ours), lines(theirs));
    let differs = ours_lines.iter().zip(&theirs_lines).find(|(a, b)| a != b);
    assert_eq!(differs, None, "{what}: ours, then the server's");
    assert!(ours == theirs, "{what}");
}

/// What is made of the table's binary form is what the server writes, as text and as CSV.
async fn assert_as_the_server(session: &Session, name: &str) -> TableEntry {
    let entry = entry_of(session, name).await;
    assert_eq!(entry.form, RowForm::Binary, "{name}");
    let version = crate::postgres::server_facts(session).await;
    let dialect = Dialect::of(version.expect("the server").version_num);
    let columns: Vec<String> = entry
        .columns
        .iter()
        .map(|c| crate::postgres::ident(&c.name).expect("a name"))
        .collect();
    let copy = |with: &str| {
        let columns = columns.join(", ");
        format!("copy (select {columns} from {name}) to stdout with (format {with})")
    };
    let binary = copied(session, &copy("binary")).await;
    let text = copied(session, &copy("text")).await;
    let csv = copied(session, &copy("csv, header true")).await;
    assert_same(name, &lines(&entry, &binary, Layout::Copy, dialect), &text);
    assert_same(name, &lines(&entry, &binary, Layout::Csv, dialect), &csv);
    // The text form as CSV, too.
    let as_text = TableEntry {
        form: RowForm::Text,
        ..entry.clone()
    };
    assert_same(name, &lines(&as_text, &text, Layout::Csv, dialect), &csv);
    assert_same(name, &lines(&as_text, &text, Layout::Copy, dialect), &text);
    entry
}

/// What is made of the table's binary form is read again as the same bytes.
async fn assert_comes_back(session: &Session, name: &str) {
    let entry = entry_of(session, name).await;
    let dialect = Dialect::of(u32::MAX);
    let binary = copied(
        session,
        &format!("copy {name} to stdout with (format binary)"),
    )
    .await;
    let make = format!("create table back_{name} (like {name})");
    session.batch_execute(&make).await.expect("made");
    let text = lines(&entry, &binary, Layout::Copy, dialect);
    copy_in(session, &format!("copy back_{name} from stdin"), text).await;
    let again = copied(
        session,
        &format!("copy back_{name} to stdout with (format binary)"),
    )
    .await;
    let (before, after) = (rows_of(&binary), rows_of(&again));
    let differs = before.iter().zip(&after).find(|(a, b)| a != b);
    assert_eq!(differs, None, "{name}: a row before and after");
    assert_eq!(before.len(), after.len(), "{name}");
}

/// The rows of a binary stream in an order of their own: from 16 on, a table need not have them in the order
/// that they came in.
fn rows_of(stream: &[u8]) -> Vec<&[u8]> {
    let mut rest = &stream[BINARY_HEADER.len()..];
    let mut rows = Vec::new();
    loop {
        let count = i16::from_be_bytes(*rest.first_chunk().expect("a count"));
        if count < 0 {
            break;
        }
        let mut end = 2;
        for _ in 0..count {
            let size = i32::from_be_bytes(*rest[end..].first_chunk().expect("a length"));
            end += 4 + usize::try_from(size).unwrap_or(0);
        }
        let (row, after) = rest.split_at(end);
        rows.push(row);
        rest = after;
    }
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn every_type_is_written_as_the_server_writes_it() {
    let world = World::empty().await;
    let session = reader(&world).await;
    let newer = NEWER
        .iter()
        .filter(|(from, ..)| world.cluster.major() >= *from);
    let types = TYPES.iter().map(|(name, values)| (*name, *values));
    let types = types.chain(newer.map(|(_, name, values)| (*name, *values)));
    for (place, (name, values)) in types.enumerate() {
        let table = format!("t{place}");
        session
            .batch_execute(&format!(
                "create table {table} (v {name}, a {name}[], \"n\"\",\" int)"
            ))
            .await
            .expect(name);
        let values: Vec<&str> = values.to_vec();
        for insert in [
            format!("select x::{name}, array[x::{name}, null, x::{name}], 1"),
            format!("select null, array_fill(x::{name}, array[2, 1, 3], array[-1, 3, 1]), null"),
            format!("select x::{name}, array_fill(x::{name}, array[2], array[0]), 2"),
            format!("select null, array[array[x::{name}, null], array[null, x::{name}]], 3"),
        ] {
            let sql = format!("insert into {table} {insert} from unnest($1::text[]) x");
            session.execute(&sql, &[&values]).await.expect(&sql);
        }
        let all = format!(
            "insert into {table} select null::{name}, array_agg(x::{name}), 4 from unnest($1::text[]) x
             union all select null, '{{}}', null union all select null, null, null"
        );
        session.execute(&all, &[&values]).await.expect(&all);
        assert_as_the_server(&session, &table).await;
        assert_comes_back(&session, &table).await;
    }
}

#[tokio::test]
async fn a_char_may_be_any_byte() {
    let world = World::empty().await;
    let session = reader(&world).await;
    session
        .batch_execute(
            "create table bytes (v \"char\", a \"char\"[]);
             insert into bytes select n::\"char\", array[n::\"char\", null, n::\"char\"]
               from generate_series(-128, 127) n",
        )
        .await
        .expect("filled");
    assert_as_the_server(&session, "bytes").await;
    if world.cluster.major() >= 15 {
        assert_comes_back(&session, "bytes").await;
    }
}

#[tokio::test]
async fn domains_enums_and_tables_without_columns_are_written_too() {
    let world = World::empty().await;
    let session = reader(&world).await;
    session
        .batch_execute(
            "create type mood as enum ('sad', 'it''s \"fine\"', '\\', '', 'a,b');
             create domain percent as numeric(5, 2) check (value >= 0);
             create domain share as percent; create domain tags as text[];
             create table t (m mood, p share, l tags, gone int, g int generated always as (1) stored);
             alter table t drop column gone;
             insert into t select m, 1.5, array['a', m::text] from unnest(enum_range(null::mood)) m;
             create table nothing ();
             insert into nothing default values; insert into nothing default values",
        )
        .await
        .expect("filled");
    let entry = assert_as_the_server(&session, "t").await;
    assert_eq!(entry.columns.len(), 3);
    let entry = entry_of(&session, "nothing").await;
    let dialect = Dialect::of(u32::MAX);
    let binary = copied(&session, "copy nothing to stdout with (format binary)").await;
    let text = copied(&session, "copy nothing to stdout").await;
    assert_same(
        "nothing",
        &lines(&entry, &binary, Layout::Copy, dialect),
        &text,
    );
    assert_same(
        "nothing",
        &lines(&entry, &binary, Layout::Csv, dialect),
        b"\n\n\n",
    );
}

#[tokio::test]
async fn each_byte_is_the_letter_that_the_server_takes_it_for() {
    let world = World::empty().await;
    let admin = world.session().await;
    let raw =
        "create database raw template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'";
    admin.batch_execute(raw).await.expect("made");
    let raw = world.beside("raw").await;
    let session = raw.session().await;
    let sql = "select pg_catalog.convert($1::bytea, $2::text::name, 'UTF8')";
    for (name, _) in ENCODINGS {
        let ours = ToUtf8::from(name).expect("not UTF-8");
        let mut known = 0;
        for byte in 1..=u8::MAX {
            let mut letter = Vec::new();
            let written = ours.write(&[byte], &mut letter);
            match session.query_one(sql, &[&&[byte][..], &name]).await {
                Ok(row) => {
                    written.expect("the server knows it");
                    assert_eq!(row.get::<_, &[u8]>(0), letter, "{name} {byte}");
                    known += 1;
                }
                Err(e) => {
                    assert!(e.as_db_error().is_some(), "{e}");
                    assert!(written.expect_err("the server does not").is_refusal());
                }
            }
        }
        assert!(known > 200, "{name}: {known}");
    }
}
