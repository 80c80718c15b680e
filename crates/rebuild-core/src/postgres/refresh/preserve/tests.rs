mod circles;
mod failures;
mod moved;
mod plain;
mod random;
mod surroundings;

use super::*;
use crate::model::Endpoint;
use crate::postgres::LocalCluster;
use crate::testing::{cluster, scratch_database};

/// The old database and the new one.
struct Two {
    old: Session,
    new: Session,
    _cluster: LocalCluster,
}

/// What was put back, and the rows that were left out.
struct Done {
    put: PutBack,
    left_out: Vec<(String, String, String)>,
}

impl LeftOutRows for Vec<(String, String, String)> {
    fn take(&mut self, table: &TableName, key: &str, reason: &str) -> Result<()> {
        self.push((table.to_string(), key.to_owned(), reason.to_owned()));
        Ok(())
    }
}

impl Done {
    /// Selected, inserted, replaced, unchanged and left out, of the rule in place `at`.
    fn counts(&self, at: usize) -> [u64; 5] {
        let table = &self.put.tables[at];
        let left_out = table.left_out.iter().map(|l| l.rows).sum();
        let all = [
            table.selected,
            table.inserted,
            table.replaced,
            table.unchanged,
            left_out,
        ];
        assert_eq!(all[0], all[1..].iter().sum::<u64>(), "{:?}", self.put);
        all
    }

    /// The reasons of the rule in place `at`, each with a number of rows.
    fn reasons(&self, at: usize) -> Vec<(&str, u64)> {
        let left_out = self.put.tables[at].left_out.iter();
        left_out.map(|l| (l.reason.as_str(), l.rows)).collect()
    }
}

impl Two {
    async fn with(old: &str, new: &str) -> Self {
        let cluster = cluster().await.expect("cluster");
        let open = async |e: &Endpoint| Session::open(e, "test").await.expect("session");
        let first = scratch_database(&cluster).await.expect("old");
        let second = scratch_database(&cluster).await.expect("new");
        let two = Self {
            old: open(&first).await,
            new: open(&second).await,
            _cluster: cluster,
        };
        two.old.batch_execute(old).await.expect(old);
        two.new.batch_execute(new).await.expect(new);
        two
    }

    async fn put(&self, rules: &[Preserved]) -> Done {
        let before = self.state().await;
        let mut left_out = Vec::new();
        let ctx = Ctx::quiet();
        let work = put_back(&ctx, &self.old, &self.new, rules, &mut left_out);
        let put = needs_send(work)
            .await
            .unwrap_or_else(|e| panic!("{}", e.chain()));
        assert_eq!(before, self.state().await, "triggers and constraints");
        let done = Done { put, left_out };
        for (at, table) in done.put.tables.iter().enumerate() {
            let told = done
                .left_out
                .iter()
                .filter(|l| l.0 == table.table.to_string());
            assert_eq!(told.count() as u64, done.counts(at)[4]);
        }
        done
    }

    async fn refused(&self, rules: &[Preserved]) -> String {
        let mut left_out = Vec::new();
        let done = put_back(&Ctx::quiet(), &self.old, &self.new, rules, &mut left_out).await;
        done.expect_err("refused").chain()
    }

    async fn look(&self, rules: &[Preserved]) -> PreserveOutline {
        look(&self.old, &self.new, rules).await.expect("looked")
    }

    /// The values of a query in the new database, as text.
    async fn ask(&self, sql: &str) -> Vec<String> {
        texts(&self.new, sql).await
    }

    /// Everything that is switched off and on on the way.
    async fn state(&self) -> Vec<String> {
        self.ask(
            "select x from (
                select pg_catalog.format('%s %s %s %s %s %s', conrelid::regclass, conname, oid,
                                         condeferrable, condeferred, convalidated)
                  from pg_catalog.pg_constraint
                union all
                select pg_catalog.format('%s %s %s %s %s', tgrelid::regclass, tgname, tgenabled,
                                         tgdeferrable, tginitdeferred)
                  from pg_catalog.pg_trigger
                union all
                select pg_catalog.format('%s %s %s', ev_class::regclass, rulename, ev_enabled)
                  from pg_catalog.pg_rewrite
                union all
                select pg_catalog.format('%s %s %s', attrelid::regclass, attname, attidentity)
                  from pg_catalog.pg_attribute where attidentity <> '') s (x) order by 1",
        )
        .await
    }
}

fn needs_send<T: Send>(work: T) -> T {
    work
}

async fn texts(session: &Session, sql: &str) -> Vec<String> {
    let rows = session.query(sql, &[]).await.expect(sql);
    rows.iter().map(|r| r.get(0)).collect()
}

fn rule(table: &str) -> Preserved {
    let (schema, name) = table.split_once('.').expect("schema.name");
    Preserved {
        table: TableName::new(schema, name),
        condition: None,
        keep: Keep::Target,
        key: Vec::new(),
    }
}

impl Preserved {
    fn only(mut self, condition: &str) -> Self {
        self.condition = Some(condition.to_owned());
        self
    }

    fn by(mut self, key: &[&str]) -> Self {
        self.key = key.iter().map(ToString::to_string).collect();
        self
    }

    fn source(mut self) -> Self {
        self.keep = Keep::Source;
        self
    }
}
