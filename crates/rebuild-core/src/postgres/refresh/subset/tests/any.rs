//! Any schema, any rows, any choice: what is copied is valid, and nothing more could be.

use std::collections::BTreeSet;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, TryStreamExt};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// Names that the conditions use too.
const NAMES: [&str; 5] = ["g", "p", "c", "gone_0", "rows_0"];
/// Rows of a partitioned table from here on are in its second partition.
const SECOND: usize = 3;
const MOST_REFERENCES: usize = 6;

#[derive(Clone, Debug)]
struct Table {
    partitioned: bool,
    chosen: Chosen,
    /// Whether the row would be chosen, and what its references refer to.
    rows: Vec<(Option<bool>, [u8; MOST_REFERENCES])>,
}

#[derive(Clone, Debug)]
struct Key {
    child: usize,
    parent: usize,
    composite: bool,
    from_part: bool,
    to_part: bool,
}

#[derive(Clone, Debug)]
struct World {
    tables: Vec<Table>,
    keys: Vec<Key>,
}

fn worlds() -> impl Strategy<Value = World> {
    let chosen = prop_oneof![
        3 => Just(Chosen::All),
        1 => Just(Chosen::None),
        3 => Just(Chosen::Where("f".to_owned())),
    ];
    let flag = prop_oneof![6 => Just(Some(true)), 2 => Just(Some(false)), 1 => Just(None)];
    let rows = vec((flag, any::<[u8; MOST_REFERENCES]>()), 0..8);
    let table = (proptest::bool::weighted(0.3), chosen, rows);
    let table = table.prop_map(|(partitioned, chosen, rows)| Table {
        partitioned,
        chosen,
        rows,
    });
    vec(table, 2..=NAMES.len()).prop_flat_map(|tables| {
        let one = 0..tables.len();
        let key = (one.clone(), one, any::<[bool; 3]>()).prop_map(|(child, parent, is)| Key {
            child,
            parent,
            composite: is[0],
            from_part: is[1],
            // A server refuses what goes from a partition to the tree that it is in.
            to_part: if child == parent { is[1] } else { is[2] },
        });
        (Just(tables), vec(key, 1..=MOST_REFERENCES))
            .prop_map(|(tables, keys)| World { tables, keys })
    })
}

impl World {
    /// True if the reference holds for the row `id` of the child.
    fn bound(&self, key: &Key, id: usize) -> bool {
        !(key.from_part && self.tables[key.child].partitioned) || id >= SECOND
    }

    /// The row that the `nth` reference of the row refers to, if it refers to one.
    fn target(&self, nth: usize, id: usize) -> Option<usize> {
        let key = &self.keys[nth];
        let parent = &self.tables[key.parent];
        let part = key.to_part && parent.partitioned;
        let first = if part { SECOND } else { 0 };
        let rows = parent.rows.len().saturating_sub(first);
        let pick = usize::from(self.tables[key.child].rows[id].1[nth]);
        let refers = self.bound(key, id) && pick % 4 != 0 && rows > 0;
        refers.then(|| first + pick % rows)
    }

    /// The values of the reference's columns.
    fn values(&self, nth: usize, id: usize) -> (String, String) {
        let key = &self.keys[nth];
        let text = |n: usize| n.to_string();
        match self.target(nth, id) {
            Some(target) => (text(target), text(target * 10)),
            // What refers to nothing need not be all null.
            None if key.composite && id.is_multiple_of(2) => ("999".into(), "null".into()),
            None if self.bound(key, id) => ("null".into(), "null".into()),
            None => ("999".into(), "999".into()),
        }
    }

    fn schema(&self) -> String {
        let mut sql = String::from("drop schema if exists s cascade; create schema s;\n");
        for (at, table) in self.tables.iter().enumerate() {
            let name = NAMES[at];
            let columns: String = (0..self.keys.len())
                .filter(|nth| self.keys[*nth].child == at)
                .map(|nth| format!(", r{nth} int, k{nth} int"))
                .collect();
            sql += &format!(
                "create table s.{name} (id int primary key, k int, f bool{columns}, unique (id, k))"
            );
            if table.partitioned {
                sql += &format!(
                    " partition by range (id);
                     create table s.{name}_1 partition of s.{name} for values from (0) to ({SECOND});
                     create table s.{name}_2 partition of s.{name} for values from ({SECOND}) to (99)"
                );
            }
            sql += ";\n";
        }
        sql
    }

    fn rows(&self) -> String {
        let mut sql = String::new();
        for (at, table) in self.tables.iter().enumerate() {
            for (id, (flag, _)) in table.rows.iter().enumerate() {
                let flag = flag.map_or("null".to_owned(), |f| f.to_string());
                let refers: String = (0..self.keys.len())
                    .filter(|nth| self.keys[*nth].child == at)
                    .map(|nth| self.values(nth, id))
                    .map(|(r, k)| format!(", {r}, {k}"))
                    .collect();
                let name = NAMES[at];
                sql += &format!(
                    "insert into s.{name} values ({id}, {}, {flag}{refers});\n",
                    id * 10
                );
            }
        }
        sql
    }

    fn constraints(&self) -> String {
        let part = |at: usize, part: bool| {
            let suffix = if part && self.tables[at].partitioned {
                "_2"
            } else {
                ""
            };
            format!("s.{}{suffix}", NAMES[at])
        };
        let constraint = |(nth, key): (usize, &Key)| {
            let (child, parent) = (
                part(key.child, key.from_part),
                part(key.parent, key.to_part),
            );
            let (here, there) = if key.composite {
                (format!("r{nth}, k{nth}"), "id, k")
            } else {
                (format!("r{nth}"), "id")
            };
            format!("alter table {child} add foreign key ({here}) references {parent} ({there});\n")
        };
        self.keys.iter().enumerate().map(constraint).collect()
    }

    /// The greatest set of rows that is consistent, by taking away what is not until all is.
    fn greatest(&self) -> BTreeSet<(usize, usize)> {
        let mut kept = BTreeSet::new();
        for (at, table) in self.tables.iter().enumerate() {
            for (id, (flag, _)) in table.rows.iter().enumerate() {
                let chosen = match table.chosen {
                    Chosen::All => true,
                    Chosen::None => false,
                    Chosen::Where(_) => *flag == Some(true),
                };
                if chosen {
                    kept.insert((at, id));
                }
            }
        }
        loop {
            let before = kept.clone();
            kept.retain(|(at, id)| {
                (0..self.keys.len())
                    .filter(|nth| self.keys[*nth].child == *at)
                    .filter_map(|nth| Some((self.keys[nth].parent, self.target(nth, *id)?)))
                    .all(|row| before.contains(&row))
            });
            if kept == before {
                return kept;
            }
        }
    }

    /// Copies what the conditions leave from one database to another like it, and gives it.
    async fn copy(&self, source: &Session, sink: &Session) -> BTreeSet<(usize, usize)> {
        run(
            source,
            &(self.schema() + &self.rows() + &self.constraints()),
        )
        .await;
        run(sink, &self.schema()).await;
        let chosen = |name: &TableName| {
            let at = NAMES.iter().position(|n| *n == name.name).expect("ours");
            self.tables[at].chosen.clone()
        };
        let conditions = conditions_of(source, chosen).await;
        let mut copied = BTreeSet::new();
        for table in list_tables(source).await.expect("tables") {
            if !table.holds_rows() {
                continue;
            }
            let name = &table.table;
            let condition = conditions.get(name).map_or("true", String::as_str);
            let sql = format!("copy (select * from only {name} where {condition}) to stdout");
            let stream = source
                .copy_out(&sql)
                .await
                .unwrap_or_else(|e| panic!("{e:?}: {sql}"));
            let rows: BytesMut = stream
                .try_collect::<Vec<Bytes>>()
                .await
                .expect(&sql)
                .concat()[..]
                .into();
            let root = table.ancestors.last().unwrap_or(name);
            let at = NAMES.iter().position(|n| *n == root.name).expect("ours");
            for line in String::from_utf8(rows.to_vec()).expect("text").lines() {
                let id = line.split('\t').next().expect("a column");
                copied.insert((at, id.parse().expect("a number")));
            }
            let into = sink.copy_in(&format!("copy {name} from stdin")).await;
            let mut into = pin!(into.expect("into"));
            into.send(rows.freeze()).await.expect("sent");
            into.as_mut().finish().await.expect("taken");
        }
        run(sink, &self.constraints()).await;
        copied
    }
}

#[test]
fn what_is_copied_is_the_greatest_set_of_rows_that_is_valid() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let (source, sink, _cluster) = runtime.block_on(async {
        let (source, cluster) = database().await;
        let other = scratch_database(&cluster).await.expect("database");
        let sink = Session::open(&other, "test").await.expect("session");
        (source, sink, cluster)
    });
    let config = Config {
        cases: 60,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let ran = TestRunner::new(config).run(&worlds(), |world| {
        let copied = runtime.block_on(world.copy(&source, &sink));
        prop_assert_eq!(copied, world.greatest());
        Ok(())
    });
    ran.unwrap_or_else(|e| panic!("{e}"));
}
