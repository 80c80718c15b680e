//! Transactions, and what is left when a file does not end.

use super::*;
use crate::testing::wait_for_lock;

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
    wait_for_lock(&bench.cluster.endpoint("postgres"), "locktype = 'advisory'").await;
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
    let files = PgSqlFiles {
        limit: Duration::from_millis(300),
        ..bench.schema()
    };
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
