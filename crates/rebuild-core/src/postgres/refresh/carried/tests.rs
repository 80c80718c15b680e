//! Any schema, any rows, any masks and any choice of rows.

use std::collections::BTreeMap;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, TryStreamExt};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::postgres::refresh::Source;
use crate::postgres::rows::tables::list_tables;
use crate::postgres::{Chooser, Session};
use crate::spec::{MaskSpec, SourceSpec};
use crate::testing::{cluster, scratch_database};

/// Types of keys, how a number is one of them, and masks that fit.
const TYPES: [(&str, &str, &[&str]); 4] = [
    ("text", "'Key ' || {n}", &["hash", "keep-format", "email"]),
    (
        "varchar(40)",
        "'é-' || {n}",
        &["hash", "keep-format", "email"],
    ),
    ("bigint", "{n}", &["hash"]),
    ("uuid", "pg_catalog.md5({n}::text)::uuid", &["hash"]),
];

#[derive(Clone, Debug)]
struct Table {
    kind: usize,
    /// Which of the masks of its type its key has, if any.
    mask: Option<usize>,
    filtered: bool,
    rows: Vec<bool>,
    /// The tables that it refers to, and how its rows find theirs.
    parents: Vec<(usize, u8)>,
}

fn worlds() -> impl Strategy<Value = Vec<Table>> {
    let table = (
        0..TYPES.len(),
        proptest::option::weighted(0.7, 0..3_usize),
        any::<bool>(),
        vec(proptest::bool::weighted(0.8), 0..12),
        vec((0..4_usize, any::<u8>()), 0..3),
    );
    let table = table.prop_map(|(kind, mask, filtered, rows, parents)| Table {
        kind,
        mask: mask.filter(|m| *m < TYPES[kind].2.len()),
        filtered,
        rows,
        parents,
    });
    vec(table, 2..5).prop_map(|mut tables| {
        let count = tables.len();
        for table in &mut tables {
            table.parents.retain(|(parent, _)| *parent < count);
        }
        tables
    })
}

fn key(kind: usize, n: usize) -> String {
    format!(
        "({})::{}",
        TYPES[kind].1.replace("{n}", &n.to_string()),
        TYPES[kind].0
    )
}

fn schema(tables: &[Table]) -> String {
    let mut sql = String::from("drop schema if exists s cascade; create schema s;\n");
    for (at, table) in tables.iter().enumerate() {
        let parents = table.parents.iter().enumerate();
        let columns: String = parents
            .map(|(n, (parent, _))| format!(", r{n} {}", TYPES[tables[*parent].kind].0))
            .collect();
        let kind = TYPES[table.kind].0;
        sql += &format!("create table s.t{at} (id {kind} primary key, f bool{columns});\n");
    }
    sql
}

fn rows(tables: &[Table]) -> String {
    let mut sql = String::new();
    for (at, table) in tables.iter().enumerate() {
        for (id, flag) in table.rows.iter().enumerate() {
            let refers = table.parents.iter().map(|(parent, step)| {
                let there = tables[*parent].rows.len();
                let pick = id * usize::from(*step) + 1;
                if there == 0 || pick % 5 == 0 {
                    "null".to_owned()
                } else {
                    key(tables[*parent].kind, pick % there)
                }
            });
            let refers: String = refers.map(|r| format!(", {r}")).collect();
            let id = key(table.kind, id);
            sql += &format!("insert into s.t{at} values ({id}, {flag}{refers});\n");
        }
    }
    sql
}

fn constraints(tables: &[Table]) -> String {
    let of = |(at, table): (usize, &Table)| {
        let parents = table.parents.iter().enumerate();
        let add = parents.map(move |(n, (parent, _))| {
            format!("alter table s.t{at} add foreign key (r{n}) references s.t{parent};\n")
        });
        add.collect::<String>()
    };
    tables.iter().enumerate().map(of).collect()
}

fn rules(tables: &[Table]) -> RefreshRules {
    let masks = tables.iter().enumerate().filter_map(|(at, table)| {
        let with = TYPES[table.kind].2[table.mask?];
        Some(serde_json::json!({ "column": format!("s.t{at}.id"), "with": with }))
    });
    let mask = serde_json::json!({ "salt": "pepper", "column": masks.collect::<Vec<_>>() });
    let filters = tables.iter().enumerate().filter(|(_, t)| t.filtered);
    let filters =
        filters.map(|(at, _)| serde_json::json!({ "table": format!("s.t{at}"), "where": "f" }));
    let source = serde_json::json!({ "url": "", "table": filters.collect::<Vec<_>>() });
    let mask: MaskSpec = serde_json::from_value(mask).expect("masks");
    let source: SourceSpec = serde_json::from_value(source).expect("a source");
    RefreshRules::read(&source, &mask).expect("rules")
}

/// A child that refers to one table by two columns, or to a key that is masked otherwise than its
/// own, may be refused; what is not refused must hold.
async fn refreshed(source: &Session, sink: &Session, tables: &[Table]) -> Result<bool> {
    let run = async |session: &Session, sql: String| {
        session.batch_execute(&sql).await.expect(&sql);
    };
    run(
        source,
        schema(tables) + &rows(tables) + &constraints(tables),
    )
    .await;
    run(sink, schema(tables)).await;
    // As a session of the source's own is set from its beginning.
    run(source, "set rebuild.salt = 'pepper'".to_owned()).await;
    let endpoint = scratch();
    let rules = rules(tables);
    Source::new(endpoint, None, rules.clone())
        .prepare(source)
        .await?;
    let names = Names::under("UTF8");
    let mut live = list_tables(source).await?;
    let carried = carry(source, &rules, &mut live, names).await?;
    if !carried.problems.is_empty() {
        let known = |p: &String| p.contains("on both sides, or not at all");
        assert!(carried.problems.iter().all(known), "{:?}", carried.problems);
        return Ok(false);
    }
    // By type and mask: what each value became.
    let mut became: BTreeMap<(String, String), BTreeMap<String, String>> = BTreeMap::new();
    for table in &live {
        for column in table.columns.iter().filter(|c| c.masked.is_some()) {
            let masked = column.masked.as_deref().unwrap_or_default();
            let how = carried
                .masked
                .iter()
                .find(|(t, c, _)| *t == table.table && *c == column.name);
            let how = how.expect("told").2.clone();
            let name = names.ident(&column.name)?;
            let sql = format!(
                "select {name}::text, ({masked})::text from {} where {name} is not null",
                names.table(&table.table)?
            );
            for row in source.query(&sql, &[]).await.expect(&sql) {
                let (value, mask): (String, String) = (row.get(0), row.get(1));
                let known = became
                    .entry((column.type_name.clone(), how.clone()))
                    .or_default();
                let before = known.insert(value, mask.clone());
                assert!(before.is_none_or(|before| before == mask), "{sql}");
            }
        }
        let select = table.selected(names)?.join(", ");
        let filter = table.filter.as_deref().unwrap_or("true");
        let name = names.table(&table.table)?;
        let sql = format!("copy (select {select} from only {name} where ({filter})) to stdout");
        let stream = source
            .copy_out(&sql)
            .await
            .unwrap_or_else(|e| panic!("{e:?}: {sql}"));
        let pieces: Vec<Bytes> = stream.try_collect().await.expect(&sql);
        let rows: BytesMut = pieces.concat()[..].into();
        let into = sink.copy_in(&format!("copy {name} from stdin")).await;
        let mut into = pin!(into.expect("into"));
        into.send(rows.freeze()).await.expect("sent");
        into.as_mut().finish().await.expect("taken");
    }
    for (of, values) in &became {
        let different: BTreeSet<&String> = values.values().collect();
        assert_eq!(
            different.len(),
            values.len(),
            "{of:?}: two values became one"
        );
    }
    run(sink, constraints(tables)).await;
    Ok(true)
}

/// Nobody connects to it.
fn scratch() -> crate::model::Endpoint {
    let environment = crate::postgres::Environment::default();
    environment
        .endpoint("postgresql://me@localhost/x", false)
        .expect("an address")
}

#[test]
fn masked_subsets_keep_every_foreign_key_and_the_same_value_stays_the_same() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let (source, sink, _cluster) = runtime.block_on(async {
        let cluster = cluster().await.expect("a server");
        let open = async || {
            let endpoint = scratch_database(&cluster).await.expect("a database");
            Session::open(&endpoint, "test").await.expect("a session")
        };
        (open().await, open().await, cluster)
    });
    let config = Config {
        cases: 80,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let done = std::cell::Cell::new(0);
    let ran = TestRunner::new(config).run(&worlds(), |tables| {
        let refreshed = runtime.block_on(refreshed(&source, &sink, &tables));
        done.set(done.get() + u32::from(refreshed.expect("refreshed")));
        Ok(())
    });
    ran.unwrap_or_else(|e| panic!("{e}"));
    assert!(done.get() > 20, "only {} were not refused", done.get());
}
