//! Files on a real server.

mod surroundings;
mod transactions;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Collected, Ctx, EventKind, Events, Level};
use crate::model::{BackupId, Endpoint, Identity, RunId};
use crate::postgres::{DatabaseKey, LocalCluster, Session, find_database};
use crate::spec::FileOrder;
use crate::testing::{cluster, scratch_database};
use crate::traits::{SchemaApplied, SchemaApplier};

const LIMIT: Duration = Duration::from_secs(60);

/// A database, a folder of files, and somebody who listens.
struct Bench {
    cluster: LocalCluster,
    endpoint: Endpoint,
    db: Identity,
    session: Session,
    folder: tempfile::TempDir,
    seen: Arc<Collected>,
    ctx: Ctx,
}

impl Bench {
    async fn new() -> Self {
        let cluster = cluster().await.expect("cluster");
        let endpoint = scratch_database(&cluster).await.expect("database");
        let session = Session::open(&endpoint, "test").await.expect("session");
        let db = find_database(&session, DatabaseKey::Current)
            .await
            .expect("look")
            .expect("database");
        let seen = Arc::new(Collected::default());
        let run = RunId::generate();
        let ctx = Ctx::new(run.clone(), Events::new(Some(run), vec![seen.clone()]));
        Self {
            endpoint: cluster.endpoint("postgres"),
            cluster,
            db,
            session,
            folder: tempfile::tempdir().expect("folder"),
            seen,
            ctx,
        }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("file");
    }

    fn schema_in(&self, folder: &Path, patterns: &[&str], order: FileOrder) -> PgSqlFiles {
        let patterns = patterns.iter().map(ToString::to_string).collect();
        PgSqlFiles {
            part: SqlPart::Schema,
            endpoint: self.endpoint.clone(),
            folder: folder.into(),
            patterns,
            order,
            limit: LIMIT,
        }
    }

    fn schema(&self) -> PgSqlFiles {
        self.schema_in(self.folder.path(), &["*.sql"], FileOrder::Lexicographic)
    }

    async fn apply(&self) -> Result<SchemaApplied> {
        self.apply_with(&self.schema()).await
    }

    async fn apply_with(&self, files: &dyn SchemaApplier) -> Result<SchemaApplied> {
        let applied = files
            .apply(&self.ctx, &self.db, &BackupId::generate())
            .await;
        let open: i64 = self
            .number(
                "select count(*) from pg_catalog.pg_stat_activity
                  where application_name like 'rebuild/%' and state like 'idle in transaction%'",
            )
            .await;
        assert_eq!(open, 0, "no transaction stays open");
        applied
    }

    async fn fails(&self) -> Error {
        self.apply().await.expect_err("refused")
    }

    async fn number(&self, sql: &str) -> i64 {
        self.session.query_one(sql, &[]).await.expect(sql).get(0)
    }

    async fn text(&self, sql: &str) -> String {
        self.session.query_one(sql, &[]).await.expect(sql).get(0)
    }

    async fn there(&self, relation: &str) -> bool {
        let sql = "select pg_catalog.to_regclass($1) is not null";
        let row = self.session.query_one(sql, &[&relation]).await;
        row.expect("asked").get(0)
    }

    fn notes(&self, wanted: Level) -> Vec<String> {
        let of_level = |kind| match kind {
            EventKind::Note { level, message } if level == wanted => Some(message),
            _ => None,
        };
        let events = self.seen.events();
        events
            .into_iter()
            .filter_map(|e| of_level(e.kind))
            .collect()
    }

    async fn history(&self) -> Vec<(String, String)> {
        self.session
            .query(
                "select path, state from rebuild.schema_history order by seq",
                &[],
            )
            .await
            .expect("history")
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect()
    }
}

fn paths(applied: &SchemaApplied) -> Vec<&str> {
    applied.applied.iter().map(|f| f.path.as_str()).collect()
}

#[tokio::test]
async fn a_second_call_applies_what_is_new() {
    let bench = Bench::new().await;
    bench.write(
        "1.sql",
        "create table a (id int);\ninsert into a values (1);",
    );
    bench.write("2.sql", "insert into a values (2)");
    let state = bench
        .schema()
        .look(&bench.ctx, &bench.db)
        .await
        .expect("look");
    assert_eq!(state.pending, ["1.sql", "2.sql"]);
    assert!(
        !bench.there("rebuild.schema_history").await,
        "looking makes nothing"
    );

    let applied = bench.apply().await.expect("applied");
    assert_eq!(
        (paths(&applied), applied.statements),
        (vec!["1.sql", "2.sql"], 3)
    );
    assert_eq!(
        applied.applied[1].checksum,
        blake3::hash(b"insert into a values (2)").to_hex().as_str()
    );
    bench.write("3.sql", "insert into a values (3);");
    assert_eq!(paths(&bench.apply().await.expect("applied")), ["3.sql"]);
    assert_eq!(
        bench.apply().await.expect("applied"),
        SchemaApplied::default()
    );
    assert_eq!(bench.number("select sum(id) from public.a").await, 6);

    let state = bench
        .schema()
        .look(&bench.ctx, &bench.db)
        .await
        .expect("look");
    let known: Vec<&str> = state.applied.iter().map(|f| f.path.as_str()).collect();
    assert_eq!(known, ["1.sql", "2.sql", "3.sql"]);
    assert!(state.pending.is_empty() && state.changed.is_empty() && state.migration.is_none());
}

#[tokio::test]
async fn a_failure_names_file_and_line_and_leaves_nothing() {
    let bench = Bench::new().await;
    bench.write("1.sql", "create table a (id int);");
    bench.write(
        "2.sql",
        "create table b (id int);\n\ncreate view v as\n  select 'é', id,\n    missing\n  from a;\n",
    );
    let error = bench.fails().await;
    assert_eq!(error.kind(), ErrorKind::Server);
    assert_eq!(
        error.to_string(),
        "2.sql:5: a statement failed: create view v as select 'é', id, missing from a"
    );
    assert!(
        error
            .chain()
            .contains("\"missing\" does not exist (SQLSTATE 42703)"),
        "{error:?}"
    );
    assert!(bench.there("public.a").await && !bench.there("public.b").await);
    assert_eq!(bench.history().await, [("1.sql".into(), "whole".into())]);

    // The server's hint is kept; what needs no transaction gets ours.
    bench.write("2.sql", "select lenght('x');");
    assert!(
        bench
            .fails()
            .await
            .advice()
            .expect("hint")
            .contains("explicit type casts")
    );
    bench.write(
        "2.sql",
        "create procedure p() language plpgsql as $$ begin commit; end $$;\ncall p();",
    );
    let error = bench.fails().await;
    assert!(error.to_string().starts_with("2.sql:2:"), "{error}");
    assert!(error.advice().expect("hint").contains(NO_TRANSACTION));
    bench.write("2.sql", "do $$\nbegin\n  perform missing();\nend $$;");
    assert!(bench.fails().await.to_string().starts_with("2.sql:1:"));
    bench.write(
        "2.sql",
        "create table p (id int primary key);\ncreate table c (id int references p deferrable initially deferred);\ninsert into c values (1);\n",
    );
    let error = bench.fails().await;
    assert!(error.chain().contains("SQLSTATE 23503"), "{error:?}");
    assert!(error.to_string().starts_with("2.sql: "), "{error}");
    assert!(!bench.there("public.p").await);
}

#[tokio::test]
async fn a_psql_command_in_any_file_is_refused_before_anything() {
    let bench = Bench::new().await;
    bench.write("1.sql", "create table a (id int);");
    bench.write("2.sql", "select 1;\n\\connect other\n");
    let error = bench.fails().await;
    assert!(error.is_refusal());
    assert_eq!(
        error.to_string(),
        "2.sql:2: \\connect is a command of psql, not SQL"
    );
    assert!(!bench.there("public.a").await && !bench.there("rebuild.schema_history").await);
    bench.write("2.sql", "begin;\nselect 1;\n");
    assert!(bench.fails().await.to_string().starts_with("2.sql:1:"));
}

#[tokio::test]
async fn a_changed_file_is_refused() {
    let bench = Bench::new().await;
    bench.write("1.sql", "create table a (id int);");
    bench.apply().await.expect("applied");
    bench.write("1.sql", "create table a (id bigint);");
    bench.write("2.sql", "create table b (id int);");
    let error = bench.fails().await;
    assert!(error.is_refusal());
    assert_eq!(error.to_string(), "1.sql changed after it was applied");
    assert!(!bench.there("public.b").await);
    let state = bench
        .schema()
        .look(&bench.ctx, &bench.db)
        .await
        .expect("look");
    assert_eq!(
        (state.changed, state.pending),
        (vec!["1.sql".into()], vec!["2.sql".into()])
    );
}

#[tokio::test]
async fn rows_of_copy_are_streamed() {
    let bench = Bench::new().await;
    let rows: String = (0..50_000).map(|n| format!("{n}\trow; '{n}'\n")).collect();
    bench.write(
        "1.sql",
        &format!("create table a (id int, what text);\ncopy a from stdin;\n{rows}\\.\nselect 1;\n"),
    );
    assert_eq!(bench.apply().await.expect("applied").statements, 3);
    assert_eq!(bench.number("select count(*) from public.a").await, 50_000);

    bench.write(
        "2.sql",
        &format!("\ncopy a from stdin;\n{rows}secret\tx\n{rows}\\.\n"),
    );
    let error = bench.fails().await;
    assert!(
        error
            .to_string()
            .starts_with("2.sql:50003: a statement failed: copy a"),
        "{error}"
    );
    assert!(error.chain().contains("SQLSTATE 22P02"), "{error:?}");
    assert_eq!(bench.number("select count(*) from public.a").await, 50_000);
}

#[tokio::test]
async fn fixtures_have_a_history_of_their_own() {
    let bench = Bench::new().await;
    bench.write(
        "1.sql",
        "create table if not exists a (id int); insert into a values (1);",
    );
    let fixtures = PgSqlFiles {
        part: SqlPart::Fixtures,
        ..bench.schema()
    };
    bench.apply().await.expect("applied");
    assert_eq!(
        paths(&bench.apply_with(&fixtures).await.expect("applied")),
        ["1.sql"]
    );
    assert_eq!(
        bench.apply_with(&fixtures).await.expect("again"),
        SchemaApplied::default()
    );
    assert_eq!(bench.number("select count(*) from public.a").await, 2);
    let state = fixtures.look(&bench.ctx, &bench.db).await.expect("look");
    assert_eq!((state.applied.len(), state.pending.len()), (1, 0));

    let none = PgSqlFiles {
        part: SqlPart::Fixtures,
        patterns: vec![],
        ..bench.schema()
    };
    assert_eq!(
        bench.apply_with(&none).await.expect("nothing"),
        SchemaApplied::default()
    );
}

#[tokio::test]
async fn the_examples_apply() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for (name, patterns, order, relation) in [
        (
            "quickstart",
            ["schema/*.sql"],
            FileOrder::Numbered,
            "public.team_usage",
        ),
        (
            "gpu-dev",
            ["schema/*.sql"],
            FileOrder::Flyway,
            "public.gpu_free",
        ),
    ] {
        let bench = Bench::new().await;
        let files = bench.schema_in(&examples.join(name), &patterns, order);
        let applied = bench.apply_with(&files).await.expect(name);
        assert_eq!(applied.applied.len(), 4, "{name}");
        assert!(bench.there(relation).await, "{name}");
    }
}
