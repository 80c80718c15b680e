//! Files on a real server.

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

    fn schema_in(&self, folder: &Path, patterns: &[&str], order: FileOrder) -> PgSchemaFiles {
        let patterns = patterns.iter().map(ToString::to_string).collect();
        PgSchemaFiles::new(self.endpoint.clone(), folder.into(), patterns, order, LIMIT)
    }

    fn schema(&self) -> PgSchemaFiles {
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
async fn what_cannot_be_in_a_transaction_runs_alone() {
    let bench = Bench::new().await;
    bench.write(
        "1.sql",
        "create table a (id int);\ncreate index concurrently i on a (id);\nvacuum a;",
    );
    bench.write("2.sql", "-- rebuild: no transaction\ncreate procedure p() language plpgsql as $$ begin insert into public.a values (1); commit; end $$;\ncall p();");
    bench.write("3.sql", "begin;\ninsert into a values (2);\ncommit;\nbegin;\ninsert into a values (3);\nrollback;\n");
    let applied = bench.apply().await.expect("applied");
    assert_eq!(applied.statements, 11);
    assert!(bench.there("public.i").await);
    assert_eq!(bench.number("select sum(id) from public.a").await, 3);
    assert!(
        bench
            .history()
            .await
            .iter()
            .all(|(_, state)| state == "whole")
    );
    let notes = bench.notes(Level::Info);
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(notes[0].contains("the statement in line 2"), "{notes:?}");
    assert_eq!(
        bench.apply().await.expect("applied"),
        SchemaApplied::default()
    );
}

#[tokio::test]
async fn a_half_applied_file_is_refused_from_then_on() {
    let bench = Bench::new().await;
    bench.write("1.sql", "create table a (id int);\nvacuum a;\nselect 1/0;");
    let error = bench.fails().await;
    assert!(error.to_string().starts_with("1.sql:3:"), "{error}");
    assert!(bench.there("public.a").await, "what was run stays");
    assert_eq!(bench.history().await, [("1.sql".into(), "half".into())]);
    let error = bench.fails().await;
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error.to_string().starts_with("1.sql is half applied"),
        "{error}"
    );
    assert!(error.advice().expect("hint").contains("staged database"));
    let state = bench
        .schema()
        .look(&bench.ctx, &bench.db)
        .await
        .expect("look");
    assert!(state.applied.is_empty());
    assert_eq!(state.pending, ["1.sql"]);
}

#[tokio::test]
async fn a_transaction_of_the_files_own_is_kept_and_recorded_in_it() {
    let bench = Bench::new().await;
    bench.write(
        "1.sql",
        "begin isolation level serializable;\n\
         create table a as select pg_catalog.current_setting('transaction_isolation') as level;\n\
         create role other; grant create on schema public to other; set role other;\n\
         create table of_other (); commit;",
    );
    bench.apply().await.expect("applied");
    assert_eq!(
        bench.text("select level from public.a").await,
        "serializable"
    );
    let owner = "select tableowner::text from pg_catalog.pg_tables where tablename = ";
    assert_eq!(bench.text(&format!("{owner} 'of_other'")).await, "other");
    let ours = bench.text("select current_user::text").await;
    assert_eq!(bench.text(&format!("{owner} 'schema_history'")).await, ours);

    bench.write(
        "2.sql",
        "begin;\ncreate table b ();\nselect 1/0;\ncommit;\n",
    );
    assert!(bench.fails().await.to_string().starts_with("2.sql:3:"));
    assert!(!bench.there("public.b").await);
    assert_eq!(bench.history().await.len(), 1, "nothing of it is recorded");
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
async fn settings_are_the_servers_and_stay_in_their_file() {
    let bench = Bench::new().await;
    let name = &bench.db.name;
    bench
        .session
        .batch_execute(&format!(
            "create schema app; alter database {name} set search_path = app, public;
             alter database {name} set standard_conforming_strings = off;
             alter database {name} set work_mem = '5MB'"
        ))
        .await
        .expect("settings");
    let asked = "select pg_catalog.current_setting('search_path') as path,
        pg_catalog.current_setting('work_mem') as mem, 'a\\b'::text as slash";
    bench.write("1.sql", &format!("create table one as {asked};\nset search_path = public; set work_mem = '7MB'; create temp table t ();"));
    bench.write(
        "2.sql",
        &format!("create table two as {asked}; create temp table t ();"),
    );
    bench.apply().await.expect("applied");
    for table in ["one", "two"] {
        let found = bench
            .text(&format!(
                "select pg_catalog.concat_ws('|', path, mem, slash) from app.{table}"
            ))
            .await;
        assert_eq!(found, "app, public|5MB|a\\b");
    }
}

#[tokio::test]
async fn warnings_are_passed_on_and_notices_are_not() {
    let bench = Bench::new().await;
    bench.write(
        "1.sql",
        "select 1;\ndo $$ begin raise warning 'careful'; raise notice 'chat'; end $$;",
    );
    bench.write(
        "2.sql",
        "do $$ begin for n in 1..1000 loop raise warning 'again'; end loop; end $$;",
    );
    bench.apply().await.expect("applied");
    let warnings = bench.notes(Level::Warning);
    assert_eq!(warnings[0], "1.sql:2: careful");
    assert_eq!(warnings.len(), 102);
    assert_eq!(warnings[101], "2.sql:1: more warnings are left out");
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_whole_files() {
    let bench = Bench::new().await;
    bench
        .session
        .batch_execute("select pg_catalog.pg_advisory_lock(7)")
        .await
        .expect("lock");
    bench.write("1.sql", "create table a ();");
    bench.write(
        "2.sql",
        "create table b ();\nselect pg_advisory_xact_lock(7);\ncreate table c ();",
    );
    let schema = bench.schema();
    let backup = BackupId::generate();
    {
        let mut call = std::pin::pin!(schema.apply(&bench.ctx, &bench.db, &backup));
        tokio::select! {
            done = &mut call => panic!("{done:?}"),
            () = waits_for_lock(&bench) => {}
        }
    }
    bench
        .session
        .batch_execute("select pg_catalog.pg_advisory_unlock(7)")
        .await
        .expect("unlock");
    let applied = bench.apply().await.expect("applied");
    assert_eq!(
        paths(&applied),
        ["2.sql"],
        "the first file is whole, of the second nothing is left"
    );
    assert!(bench.there("public.c").await);
}

async fn waits_for_lock(bench: &Bench) {
    let other = Session::open(&bench.cluster.endpoint("postgres"), "watch")
        .await
        .expect("session");
    loop {
        let sql =
            "select count(*) from pg_catalog.pg_locks where locktype = 'advisory' and not granted";
        let waiting: i64 = other.query_one(sql, &[]).await.expect("locks").get(0);
        if waiting > 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stop_cancels_the_statement() {
    let bench = Bench::new().await;
    bench
        .session
        .batch_execute("select pg_catalog.pg_advisory_lock(7)")
        .await
        .expect("lock");
    bench.write(
        "1.sql",
        "create table a ();\nselect pg_advisory_xact_lock(7);\ncreate table b ();",
    );
    let stop = async {
        waits_for_lock(&bench).await;
        bench.ctx.stop.cancel();
    };
    let (done, ()) = tokio::join!(bench.apply(), stop);
    assert_eq!(done.expect_err("stopped").kind(), ErrorKind::Interrupted);
    let running = "select count(*) from pg_catalog.pg_locks where not granted";
    assert_eq!(
        bench.number(running).await,
        0,
        "nothing waits on the server"
    );
    assert!(!bench.there("public.a").await);
}

#[tokio::test]
async fn a_file_has_a_deadline() {
    let bench = Bench::new().await;
    bench.write("1.sql", "create table a ();\nselect pg_sleep(3600);");
    let files = PgSchemaFiles::new(
        bench.endpoint.clone(),
        bench.folder.path().into(),
        vec!["1.sql".into()],
        FileOrder::Lexicographic,
        Duration::from_millis(300),
    );
    let error = bench.apply_with(&files).await.expect_err("deadline");
    assert_eq!(error.kind(), ErrorKind::Deadline);
    assert!(
        error.to_string().starts_with("1.sql did not end"),
        "{error}"
    );
    let sleeping = "select count(*) from pg_catalog.pg_stat_activity where wait_event = 'PgSleep'";
    assert_eq!(bench.number(sleeping).await, 0);
    assert!(!bench.there("public.a").await);
}

#[tokio::test]
async fn what_shadows_the_catalog_does_not_reach_the_history() {
    let bench = Bench::new().await;
    // Everything that the history's statements could pick up, if they were not qualified.
    bench.write(
        "1.sql",
        "create function public.clock_timestamp() returns timestamptz language plpgsql as 'begin raise exception ''shadow''; end';
         create function public.shadow(text, text) returns boolean language plpgsql as 'begin raise exception ''shadow''; end';
         create operator public.= (function = public.shadow, leftarg = text, rightarg = text);
         create domain public.int8 as text; create domain public.text as int;
         create table public.pg_roles (); create table public.pg_namespace ();
         create table public.schema_history (); create table pg_temp.schema_history ();
         set search_path = public, pg_catalog;",
    );
    bench.write(
        "2.sql",
        "set search_path = public, pg_catalog; create table a (id integer); vacuum a;",
    );
    let name = &bench.db.name;
    let sql = format!("alter database {name} set search_path = public, pg_catalog");
    bench.session.batch_execute(&sql).await.expect("settings");
    bench.apply().await.expect("applied");
    assert_eq!(bench.history().await.len(), 2);
    assert_eq!(
        bench.apply().await.expect("applied"),
        SchemaApplied::default()
    );
}

#[tokio::test]
async fn a_history_of_somebody_else_is_refused() {
    let bench = Bench::new().await;
    bench.write("1.sql", "create table a ();");
    bench
        .session
        .batch_execute("create role other; create schema rebuild authorization other")
        .await
        .expect("schema");
    let error = bench.fails().await;
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error.to_string().contains("belongs to another role"),
        "{error}"
    );
    let sql = "alter schema rebuild owner to current_user; set role other; reset role;
               create view rebuild.schema_history as select 1";
    bench.session.batch_execute(sql).await.expect("view");
    assert_eq!(bench.fails().await.kind(), ErrorKind::Refused);
    assert!(!bench.there("public.a").await);
}

#[tokio::test]
async fn the_history_of_another_database_says_nothing() {
    let bench = Bench::new().await;
    bench.write("1.sql", "create table if not exists a ();");
    bench.apply().await.expect("applied");
    let sql = "update rebuild.schema_history set database = '1', checksum = 'x'";
    bench.session.batch_execute(sql).await.expect("moved");
    assert_eq!(paths(&bench.apply().await.expect("applied")), ["1.sql"]);
}

#[tokio::test]
async fn fixtures_have_a_history_of_their_own() {
    let bench = Bench::new().await;
    bench.write(
        "1.sql",
        "create table if not exists a (id int); insert into a values (1);",
    );
    let fixtures = PgFixtures::new(
        bench.endpoint.clone(),
        bench.folder.path().into(),
        vec!["*.sql".into()],
        FileOrder::Lexicographic,
        LIMIT,
    );
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

    let none = PgFixtures::new(
        bench.endpoint.clone(),
        bench.folder.path().into(),
        vec![],
        FileOrder::Lexicographic,
        LIMIT,
    );
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
