use proptest::prelude::*;

use super::*;

/// The statements of `text`, as text.
fn texts(text: &str) -> Vec<&str> {
    let found = split(text).expect("split");
    found.iter().map(|s| &text[s.range.clone()]).collect()
}

/// Each of these is one statement.
const WHOLE: &[&str] = &[
    "select 1",
    "select ';'",
    "select 'it''s;'",
    "select E'a\\';b'",
    "select e'\\\\'",
    "select E'a'\n  'b\\';c'",
    "select E'a' -- note\n 'b\\';c'",
    "select 'a\\'",
    "select U&'a\\0041;'",
    "select U&\"a;\" from t",
    "select \"a;\"\"b;\" from t",
    "select n'a;', b'1', x'f'",
    "select $$a;b$$",
    "select $a$ $b$ ; $$ ; $b$ $a$",
    "select $a$ $ab$; $a$",
    "select $é_1$;$é_1$",
    "select a$b$c, $1, 1$$;$$",
    "select 1 /* ; /* ; */ ; */ + 1",
    "select 1 -- ;\n + 1",
    "select 1-1, a/b, a*b",
    "create rule r as on insert to t do also (insert into a values (1); delete from b)",
    "create function f() returns int language sql begin atomic select 1; select case when true then 2 else 3 end; end",
    "create or replace procedure p() begin atomic insert into t values ((case a when 1 then 2 end)); select t.end, 1 as case from t; end",
    "create function begin() returns int language sql as 'select 1'",
    "create function f() returns int language sql return case when true then 1 end",
    "create table t (\"begin\" int, atomic int)",
    "do $$ begin perform 1; end $$",
    "select 1e5, 1.5::text, :name, :'name', a[1:2]",
    "é",
];

#[test]
fn each_of_these_is_one_statement() {
    for sql in WHOLE {
        assert_eq!(texts(sql), [*sql], "alone");
        let two = format!("{sql};select 2;");
        assert_eq!(texts(&two), [*sql, "select 2"], "followed by another");
    }
}

#[test]
fn what_lies_between_is_left_out() {
    assert!(texts(" ;; -- a\n/* b; */ ;\t").is_empty());
    assert!(texts("").is_empty());
    assert_eq!(texts("-- a\nselect 1 -- b\n; -- c"), ["select 1"]);
    assert_eq!(texts("select 1;;select 2"), ["select 1", "select 2"]);
    assert_eq!(texts("-- a\rselect 1"), ["select 1"]);
}

#[test]
fn lines_are_counted_from_one() {
    let text =
        "-- one\nselect 1;\r\n\n/* a\n b */ select\n 'é', x;\ncopy t from stdin;\n1\n\\.\nselect 3";
    let found = split(text).expect("split");
    let lines: Vec<usize> = found.iter().map(|s| s.line).collect();
    assert_eq!(lines, [2, 5, 7, 10]);
    assert_eq!(found[1].line_at(text, 1), 5);
    assert_eq!(found[1].line_at(text, 14), 6, "characters, not bytes");
    assert_eq!(found[1].line_at(text, 1000), 6);
    assert!(matches!(
        found[2].kind,
        StatementKind::CopyIn { line: 8, .. }
    ));
}

#[test]
fn rows_of_copy_are_no_statements() {
    for (text, rows, rest) in [
        (
            "COPY t FROM stdin;\n1\t';\n\\N\n\\.\nselect 1;",
            "1\t';\n\\N\n",
            1,
        ),
        (
            "copy s.\"T x\" (a, b) from STDIN with (format csv) ; -- rows\r\n1,2\r\n\\.\r\n",
            "1,2\r\n",
            0,
        ),
        ("copy t from stdin;\n\\.", "", 0),
        ("copy t from stdin where a > 0;\n\\.\nselect 1", "", 1),
        ("copy \"to\" from stdin;\n\\.x\n\\.\n", "\\.x\n", 0),
    ] {
        let found = split(text).expect("split");
        assert_eq!(found.len(), 1 + rest, "{text}");
        let StatementKind::CopyIn { data, .. } = &found[0].kind else {
            panic!("{text}: {:?}", found[0]);
        };
        assert_eq!(&text[data.clone()], rows);
    }
}

#[test]
fn faults_name_the_line() {
    for (text, line, why) in [
        (
            "select 1;\nselect 'a\n\n",
            2,
            "string that begins here has no end",
        ),
        (
            "select 1;\n\nselect E'a\\'\n",
            3,
            "string that begins here has no end",
        ),
        ("select E'a\\", 1, "has no end"),
        (
            "\nselect \"a\n",
            2,
            "quoted identifier that begins here has no end",
        ),
        (
            "\nselect $a$ $b$",
            2,
            "string in $a$ that begins here has no end",
        ),
        ("\n/* /* */\n", 2, "comment that begins here has no end"),
        ("select 1;\n\\i other.sql\n", 2, "\\i is a command of psql"),
        ("select 1 \\gset\n", 1, "\\gset is a command of psql"),
        ("\\connect - x\n", 1, "\\connect"),
        ("select 1 \\; select 2;", 1, "\\; is a command of psql"),
        ("\n\\!é", 2, "\\! is a command of psql"),
        ("\n\\.\n", 2, "\\. is a command of psql"),
        ("\\é", 1, "\\ is a command of psql"),
        (
            "select 1;\ncopy t from stdin;\n1\n",
            2,
            "do not end in a line",
        ),
        ("copy t from stdin", 1, "do not end in a line"),
        (
            "copy t from stdin; select 1;\n\\.\n",
            1,
            "nothing may follow",
        ),
        ("\ncopy t to stdout;", 2, "nobody to read"),
        ("copy (select 1) to stdout", 1, "nobody to read"),
        ("copy t from '/etc/passwd';", 1, "file or program"),
        ("copy t to program 'x';", 1, "file or program"),
        (
            "copy t from stdin (format binary);\n\\.\n",
            1,
            "binary rows",
        ),
        (
            "copy t from stdin (format 'binary');\n\\.\n",
            1,
            "binary rows",
        ),
        (
            "\nset standard_conforming_strings = off;",
            2,
            "standard_conforming_strings",
        ),
        (
            "set local standard_conforming_strings to 'off'",
            1,
            "standard_conforming_strings",
        ),
        ("set client_encoding = 'LATIN1';", 1, "client_encoding"),
        ("set names 'latin1';", 1, "names"),
    ] {
        let fault = split(text).expect_err(text);
        assert_eq!(fault.line, line, "{text}: {fault}");
        assert!(fault.message.contains(why), "{text}: {fault}");
    }
}

#[test]
fn settings_of_pg_dump_are_no_fault() {
    let text = "SET standard_conforming_strings = on;\nSET client_encoding = 'UTF8';\n\
                SET SESSION AUTHORIZATION 'x';\nSET check_function_bodies = false;\nSET";
    assert_eq!(texts(text).len(), 5);
}

#[test]
fn kinds() {
    use StatementKind::{Alone, Begin, Chain, Commit, Plain, Rollback};
    for (sql, kind) in [
        ("begin", Begin),
        ("Begin work isolation level serializable", Begin),
        ("start transaction", Begin),
        ("commit", Commit),
        ("END", Commit),
        ("commit and no chain", Commit),
        ("commit and chain", Chain),
        ("rollback work and chain", Chain),
        ("rollback", Rollback),
        ("abort", Rollback),
        ("prepare transaction 'x'", Rollback),
        ("rollback to savepoint a", Plain),
        ("rollback to a", Plain),
        ("savepoint a", Plain),
        ("commit prepared 'x'", Alone),
        ("create index concurrently on t (a)", Alone),
        ("create unique index /* x */ concurrently i on t (a)", Alone),
        ("create index \"concurrently\" on t (a)", Plain),
        ("create index on t (a)", Plain),
        ("drop index concurrently i", Alone),
        ("reindex (concurrently) table t", Alone),
        ("reindex table concurrently t", Alone),
        ("reindex table t", Plain),
        ("reindex (verbose) database d", Alone),
        ("refresh materialized view concurrently m", Plain),
        (
            "alter table only t detach partition s.p concurrently",
            Alone,
        ),
        ("alter table t detach partition p", Plain),
        ("vacuum (full) t", Alone),
        ("alter system set work_mem = '1MB'", Alone),
        ("create database d", Alone),
        ("drop database d", Alone),
        ("alter database d set tablespace x", Alone),
        ("alter database d set work_mem = '1MB'", Plain),
        ("create subscription s connection 'x' publication p", Alone),
        ("cluster", Alone),
        ("cluster t", Plain),
        ("alter type mood add value 'x'", Plain),
        ("prepare p as select 1", Plain),
    ] {
        let found = split(sql).expect("split");
        assert_eq!(found.len(), 1, "{sql}");
        assert_eq!(found[0].kind, kind, "{sql}");
    }
}

#[test]
fn long_texts_take_time_in_proportion() {
    // A scan that looks back or ahead to the end for each token would take minutes here.
    for piece in [
        "select 1;\n",
        "$ ",
        "$a ",
        "/",
        "E'a'\n\n",
        "copy t from stdin;\n1\n\\.\n",
        "(",
        "-- x\n",
    ] {
        let text = piece.repeat(1_000_000 / piece.len());
        split(&text).expect("split");
    }
}

prop_compose! {
    fn separator()(parts in prop::collection::vec(
        prop::sample::select(vec![" ", "\n", "\t", "\r\n", ";", "-- x;'\n", "/* y; /* ' */ $$ */"]), 0..4,
    )) -> String {
        parts.concat()
    }
}

proptest! {
    #[test]
    fn statements_come_back_as_they_were_put(
        pieces in prop::collection::vec((separator(), prop::sample::select(WHOLE)), 0..8),
        tail in separator(),
    ) {
        let mut text = String::new();
        for (before, sql) in &pieces {
            text.push_str(before);
            text.push_str(sql);
            text.push_str("\n;");
        }
        text.push_str(&tail);
        let wanted: Vec<&str> = pieces.iter().map(|(_, sql)| *sql).collect();
        prop_assert_eq!(texts(&text), wanted);
    }

    #[test]
    fn any_text_is_split_or_refused(text in "([a-zé$;'\"()/*\\\\. \n-]|BEGIN ATOMIC |CREATE FUNCTION |CASE |END |E'|copy t from stdin;\n|\\\\\\.\n){0,40}") {
        let lines = text.lines().count() + 1;
        match split(&text) {
            Ok(found) => {
                let mut at = 0;
                for s in &found {
                    prop_assert!(s.range.start >= at && s.range.end > s.range.start);
                    // What was left out must be nothing to run.
                    prop_assert_eq!(split(&text[at..s.range.start]).expect("gap"), vec![]);
                    prop_assert_eq!(s.line, 1 + text[..s.range.start].matches('\n').count());
                    at = match &s.kind {
                        StatementKind::CopyIn { data, .. } => data.end + 2,
                        _ => s.range.end,
                    };
                }
                prop_assert_eq!(split(&text[at..]).expect("tail"), vec![]);
            }
            Err(fault) => prop_assert!(fault.line >= 1 && fault.line <= lines),
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(text) = crate::postgres::schema::decode(bytes) {
            let _ = split(&text);
        }
    }
}
