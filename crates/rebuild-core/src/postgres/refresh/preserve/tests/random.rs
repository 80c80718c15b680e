//! Any rows and any rules: afterwards every foreign key holds, and every row is accounted for.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// `boss` refers to the same table, `home` to the next; `spot` refers back, which makes a circle;
/// `pair` refers to two.
const SCHEMA: &str = "
    drop schema if exists s cascade; create schema s;
    create table s.person (id serial primary key, name text unique, boss int references s.person,
        home int, side text);
    create table s.home (id int generated always as identity primary key, name text unique,
        owner int references s.person on update cascade, side text);
    alter table s.person add foreign key (home) references s.home deferrable;
    create table s.thing (id serial primary key, name text unique, person int not null references s.person,
        side text);
    create table s.pair (thing int references s.thing, home int references s.home,
        primary key (thing, home), side text);";

const TABLES: [&str; 4] = ["s.person", "s.home", "s.thing", "s.pair"];

/// A row of any table: its number, its name, and two picks of what it refers to.
type Row = (u8, u8, u8, u8);

#[derive(Clone, Debug)]
struct World {
    /// Rows of each table, of the old side and the new one.
    sides: [[Vec<Row>; 4]; 2],
    /// For each table: whether there is a rule, and which.
    rules: [(bool, bool, bool, u8); 4],
    /// New rows must not be called so.
    refused: u8,
}

fn worlds() -> impl Strategy<Value = World> {
    let row = (1..9u8, 0..12u8, any::<u8>(), any::<u8>());
    let table = vec(row, 0..9);
    let side = [table.clone(), table.clone(), table.clone(), table];
    let rule = (
        prop::bool::weighted(0.8),
        any::<bool>(),
        any::<bool>(),
        0..3u8,
    );
    let rules = [rule.clone(), rule.clone(), rule.clone(), rule];
    (side.clone(), side, rules, 0..20u8).prop_map(|(old, new, rules, refused)| World {
        sides: [old, new],
        rules,
        refused,
    })
}

impl World {
    /// The rows of one side, without those that say a number or a name twice, or that refer to
    /// nothing where they must not.
    fn fill(&self, side: usize) -> String {
        let tables = &self.sides[side];
        let word = ["old", "new"][side];
        let ids = |at: usize| {
            let mut names: BTreeMap<u8, u8> = BTreeMap::new();
            tables[at].iter().map(move |row| {
                let free = row.1 > 1 && !names.values().any(|n| *n == row.1);
                let first = !names.contains_key(&row.0);
                let name = if free { row.1 } else { 0 };
                first.then(|| {
                    names.insert(row.0, name);
                    (row.0, name, row.2, row.3)
                })
            })
        };
        let rows: Vec<Vec<Row>> = (0..4).map(|at| ids(at).flatten().collect()).collect();
        let pick = |at: usize, n: u8| match rows[at].len() {
            0 => None,
            len => (!n.is_multiple_of(5)).then(|| rows[at][usize::from(n) % len].0),
        };
        let name = |n: u8| match n {
            0 => "null".to_owned(),
            n => format!("'n{n}'"),
        };
        let null = |v: Option<u8>| v.map_or_else(|| "null".to_owned(), |v| v.to_string());
        let mut sql = String::from("begin; set constraints all deferred;");
        // What refers to what comes later is set in the end.
        let mut later = String::new();
        for (id, n, a, b) in &rows[0] {
            let called = name(*n);
            sql += &format!("insert into s.person values ({id}, {called}, null, null, '{word}');");
            let (boss, home) = (null(pick(0, *a)), null(pick(1, *b)));
            later += &format!("update s.person set boss = {boss}, home = {home} where id = {id};");
        }
        for (id, n, a, _) in &rows[1] {
            sql += &format!(
                "insert into s.home overriding system value values ({id}, {}, {}, '{word}');",
                name(*n),
                null(pick(0, *a))
            );
        }
        for (id, n, a, _) in &rows[2] {
            if let Some(person) = pick(0, *a) {
                let called = name(*n);
                sql += &format!("insert into s.thing values ({id}, {called}, {person}, '{word}');");
            }
        }
        for (_, _, a, b) in &rows[3] {
            if let (Some(thing), Some(home)) = (pick(2, *a), pick(1, *b)) {
                sql += &format!(
                    "insert into s.pair select {thing}, {home}, '{word}' from s.thing
                      where id = {thing} on conflict do nothing;"
                );
            }
        }
        format!("{sql}{later} commit;")
    }

    fn rules(&self) -> Vec<Preserved> {
        let mut rules = Vec::new();
        for (at, (named, by_name, source, rest)) in self.rules.iter().enumerate() {
            if !named {
                continue;
            }
            let mut one = rule(TABLES[at]);
            if *by_name && at < 3 {
                one = one.by(&["name"]);
            }
            if *source {
                one = one.source();
            }
            if *rest > 0 {
                let column = if at < 3 { "id" } else { "thing" };
                one = one.only(&format!("{column} % 3 <> {rest}"));
            }
            rules.push(one);
        }
        rules
    }
}

/// Queries that find a reference to nothing.
const ORPHANS: &str = "
    select 'boss' from s.person c where boss is not null
       and not exists (select from s.person p where p.id = c.boss)
    union all select 'home' from s.person c where home is not null
       and not exists (select from s.home p where p.id = c.home)
    union all select 'owner' from s.home c where owner is not null
       and not exists (select from s.person p where p.id = c.owner)
    union all select 'person' from s.thing c
     where not exists (select from s.person p where p.id = c.person)
    union all select 'thing' from s.pair c
     where not exists (select from s.thing p where p.id = c.thing)
        or not exists (select from s.home p where p.id = c.home)";

/// Each named row of the old side, and the name of what it refers to.
const MEANING: &str = "
    select pg_catalog.concat_ws(' ', 'thing', t.name, 'of', coalesce(p.name, '-'))
      from s.thing t join s.person p on p.id = t.person where t.side = 'old' and t.name is not null
    union all
    select pg_catalog.concat_ws(' ', 'home', h.name, 'of', coalesce(p.name, '-'))
      from s.home h join s.person p on p.id = h.owner where h.side = 'old' and h.name is not null
    union all
    select pg_catalog.concat_ws(' ', 'boss', h.name, 'is', coalesce(p.name, '-'))
      from s.person h join s.person p on p.id = h.boss where h.side = 'old' and h.name is not null
     order by 1";

async fn holds(two: &Two, world: &World) {
    for (session, side) in [(&two.old, 0), (&two.new, 1)] {
        let sql = format!("{SCHEMA} {}", world.fill(side));
        session.batch_execute(&sql).await.expect(&sql);
    }
    let refused = format!(
        "alter table s.thing add check (name <> 'n{0}') not valid;
         alter table s.person add check (name <> 'n{0}') not valid",
        world.refused
    );
    two.new.batch_execute(&refused).await.expect("checks");
    let rules = world.rules();
    let done = two.put(&rules).await;
    assert_eq!(two.ask(ORPHANS).await, Vec::<String>::new());
    for (at, rule) in rules.iter().enumerate() {
        done.counts(at);
        let count = format!("select pg_catalog.count(*)::text from {}", rule.table);
        let old = "where side = 'old'";
        let now: u64 = two.ask(&format!("{count} {old}")).await[0]
            .parse()
            .expect("number");
        let table = &done.put.tables[at];
        assert_eq!(now, table.inserted + table.replaced, "{table:?}");
    }
    // Where persons are the same by name, so is what refers to them.
    if rules
        .iter()
        .any(|r| r.table.name == "person" && !r.key.is_empty())
    {
        let meant = texts(&two.old, MEANING).await;
        for now in two.ask(MEANING).await {
            assert!(meant.contains(&now), "{now} is not among {meant:?}");
        }
    }
    // Once more, and no row is put that was not; but what has no key is never found again.
    let count = "select (select pg_catalog.count(*)::text from s.person where name is not null)
        union all select pg_catalog.count(*)::text from s.home where name is not null
        union all select pg_catalog.count(*)::text from s.thing where name is not null";
    let before = two.ask(count).await;
    two.put(&rules).await;
    assert_eq!(two.ask(count).await, before);
    assert_eq!(two.ask(ORPHANS).await, Vec::<String>::new());
}

#[test]
fn every_reference_holds_and_every_row_is_accounted_for() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let two = runtime.block_on(Two::with("", ""));
    let config = Config {
        cases: 24,
        failure_persistence: None,
        max_shrink_iters: 60,
        ..Config::default()
    };
    let checked = TestRunner::new(config).run(&worlds(), |world| {
        runtime.block_on(holds(&two, &world));
        Ok(())
    });
    checked.unwrap_or_else(|e| panic!("{e}"));
}
