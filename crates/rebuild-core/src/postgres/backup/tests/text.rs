//! Values as text, against what the server itself writes of them.

mod random;

use bytes::Bytes;
use futures::{SinkExt, TryStreamExt};

use super::*;
use crate::model::RowForm;
use crate::postgres::backup::TableEntry;
use crate::postgres::backup::tables_alone;
use crate::postgres::backup::text::{Dialect, Layout, Lines, Rows, ToUtf8};
use crate::postgres::rows::scan::{RowScanner, Tally};
use crate::postgres::rows::tables::read_tables;

/// Each type with values at its edges.
const TYPES: [(&str, &[&str]); 33] = [
    ("bool", &["t", "f"]),
    ("bytea", &["", "\\x00", "\\x5c6e0a0d09ff22275c2e", "abc"]),
    (
        "\"char\"",
        &["", "a", "\\", "\"", ",", " ", "{", "\t", "\n"],
    ),
    ("name", &["", "a b", "NULL", "größer", "it's"]),
    (
        "int8",
        &["0", "-1", "9223372036854775807", "-9223372036854775808"],
    ),
    ("int2", &["0", "32767", "-32768"]),
    ("int4", &["0", "2147483647", "-2147483648"]),
    ("text", STRINGS),
    ("varchar", STRINGS),
    ("varchar(20)", &["", "keeps  "]),
    ("bpchar", STRINGS),
    ("character(5)", &["", "a", "a b", "12345", "é"]),
    ("oid", &["0", "4294967295"]),
    (
        "json",
        &[
            "{\"a\" : [1,  null],\"a\":\"\\u0000\\n\\\\\"}",
            "null",
            "\"\"",
        ],
    ),
    (
        "jsonb",
        &[
            "{\"a\" : [1.10,  null],\"b\":\"\\u00e9\\n\\\\\"}",
            "null",
            "\"\"",
            "[]",
        ],
    ),
    (
        "cidr",
        &[
            "0.0.0.0/0",
            "10.0.0.0/8",
            "1.2.3.4/32",
            "::/0",
            "2001:db8::/32",
            "::1/128",
            "::ffff:1.2.3.4/128",
            "fe80::/10",
            "1:2:3:4:5:6:7:8/128",
        ],
    ),
    (
        "inet",
        &[
            "0.0.0.0",
            "192.168.0.1/24",
            "255.255.255.255",
            "1.2.3.4/0",
            "::",
            "::/0",
            "::1",
            "1::",
            "::ffff:1.2.3.4",
            "::1.2.3.4",
            "::ffff:0:1.2.3.4",
            "1:0:0:2::3",
            "1:0:2:0:3:0:4:0",
            "0:1::",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "1:2:3:4:5:6:0:8/64",
            "::1:2",
            "0:0:0:0:0:0:0:ffff",
            "abcd:ef01:2345:6789:abcd:ef01:2345:6789/127",
        ],
    ),
    ("macaddr", &["08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"]),
    (
        "macaddr8",
        &["08:00:2b:01:02:03:04:05", "00:00:00:00:00:00:00:00"],
    ),
    (
        "money",
        &[
            "0",
            "0.01",
            "-0.01",
            "1",
            "999.99",
            "1000",
            "-123456.7",
            "1234567.89",
            "92233720368547758.07",
            "-92233720368547758.08",
        ],
    ),
    (
        "date",
        &[
            "infinity",
            "-infinity",
            "4714-11-24 BC",
            "5874897-12-31",
            "2000-01-01",
            "1999-12-31",
            "2000-02-29",
            "1900-02-28",
            "1900-03-01",
            "0001-01-01",
            "0001-12-31 BC",
            "0001-02-29 BC",
            "0005-02-29 BC",
            "0400-03-01 BC",
            "9999-12-31",
            "10000-01-01",
        ],
    ),
    (
        "time",
        &[
            "00:00",
            "24:00",
            "23:59:59.999999",
            "01:02:03.4",
            "00:00:00.000001",
        ],
    ),
    ("time(2)", &["01:02:03.45"]),
    (
        "timetz",
        &[
            "00:00:00+15:59:59",
            "24:00:00-15:59:59",
            "12:00+00",
            "12:00:00.1+05:30",
            "12:00-03",
            "12:00-00:00:01",
            "12:00-00:30",
        ],
    ),
    ("timestamp", MOMENTS),
    ("timestamptz", MOMENTS),
    (
        "interval",
        &[
            "0",
            "1 year",
            "-1 year",
            "1 mon",
            "-1 mon -1 day -1 us",
            "1 day",
            "00:00:00.000001",
            "1 year -2 mons +3 days -04:05:06.000007",
            "-1 year 2 mons -3 days 04:05:06",
            "-1 day 00:00:01",
            "1 day -00:00:00.5",
            "-178000000 years",
            "178000000 years",
            "2147483647 days",
            "-2147483648 days",
            "2562047788:00:54.775807",
            "-2562047788:00:54.775808",
            "720:00:00",
            "-00:00:01",
            "13 mons",
            "-13 mons 1 day",
        ],
    ),
    ("bit(5)", &["10101", "00000"]),
    ("bit(16)", &["1010101011110000"]),
    (
        "varbit",
        &[
            "",
            "1",
            "0",
            "11111111",
            "000000001",
            "101010101010101010101",
        ],
    ),
    (
        "numeric",
        &[
            "0",
            "0.0",
            "-0.000",
            "1",
            "-1",
            "10",
            "9999",
            "10000",
            "99990000",
            "1.10",
            "NaN",
            "0.1",
            "0.0001",
            "0.00001",
            "0.12345678901",
            "1e130",
            "1e-130",
            "12345.6789",
            "-100000000.00000001",
            "100000000000000000000000000000001.1",
            "0.000000000000000000000000000000000000000000000001",
        ],
    ),
    (
        "numeric(20,5)",
        &["0.00001", "1", "-1.1", "123456789012345.6"],
    ),
    (
        "uuid",
        &[
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "00000000-0000-0000-0000-000000000000",
        ],
    ),
];

const STRINGS: &[&str] = &[
    "",
    " ",
    "NULL",
    "null",
    "a,b",
    "\"",
    "\\",
    "\\.",
    "\\N",
    "\\\\.",
    "{x}",
    "tab\there",
    "line\nfeed",
    "carriage\rreturn",
    "\r",
    "\n",
    "\u{8}\u{b}\u{c}\u{1}\u{7f}",
    "é表🐘",
    "'",
    "a ",
    "\n\\.\n",
    ";",
    "\u{feff}",
];

const MOMENTS: &[&str] = &[
    "infinity",
    "-infinity",
    "4714-11-24 00:00:00 BC",
    "294276-12-31 23:59:59.999999",
    "2000-01-01",
    "1999-12-31 23:59:59.999999",
    "0001-12-31 23:59:59.5 BC",
    "1970-01-01 00:00:01",
    "2024-02-29 12:34:56.789",
    "0099-01-01",
];

/// Values that some servers do not know.
const NEWER: [(u32, &str, &[&str]); 2] = [
    (14, "numeric", &["Infinity", "-Infinity"]),
    (17, "interval", &["infinity", "-infinity"]),
];

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
        .map(|c| format!("{:?}", c.name))
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
    assert!(again == binary, "{name} does not come back");
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
            "insert into {table} select null, array_agg(x::{name}), 4 from unnest($1::text[]) x
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
    if world.cluster.major() >= 16 {
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
