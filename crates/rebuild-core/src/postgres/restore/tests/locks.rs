//! More tables than a server has locks for in one transaction.

use std::num::NonZeroUsize;

use super::*;
use crate::model::Verdict;
use crate::postgres::restore::progress;
use crate::postgres::{ClusterOptions, PgVerifier};
use crate::spec::CheckSpec;
use crate::traits::{Verifier, VerifyRequest};

/// Tables with keys to each other, made a few at a time.
async fn many_tables(session: &Session) {
    for part in 0..8 {
        let sql = format!(
            "do $$ begin for n in {from}..{to} loop
                 execute format('create table public.t%s (id bigint generated always as identity
                     primary key, parent bigint, name text)', n);
                 execute format('insert into public.t%s (parent, name) values (1, n)', n);
                 execute format('create index on public.t%s (name)', n);
                 if n > 1 then
                     execute format('alter table public.t%s add foreign key (parent)
                                     references public.t%s', n, n - 1);
                 end if;
             end loop; end $$",
            from = part * 40 + 1,
            to = part * 40 + 40
        )
        .replace("values (1, n)", "values (1, ''x'')");
        session.batch_execute(&sql).await.expect("tables");
    }
}

async fn server_with_few_locks() -> LocalCluster {
    let options = ClusterOptions {
        settings: vec![
            "max_locks_per_transaction = 20".to_owned(),
            "max_connections = 30".to_owned(),
        ],
        ..ClusterOptions::default()
    };
    LocalCluster::start(&options).await.expect("a server")
}

/// Every check that looks into each table.
async fn checked(world: &World, db: &Identity, id: &BackupId) -> Verdict {
    let except = Vec::new;
    let checks = vec![
        CheckSpec::Counts { except: except() },
        CheckSpec::Content { except: except() },
        CheckSpec::Sequences {},
        CheckSpec::ForeignKeys {},
        CheckSpec::Indexes {},
    ];
    let backups = Arc::new(world.restorer(true));
    // One session has to look into all of them.
    let verifier = PgVerifier::new(world.admin(), checks, backups, NonZeroUsize::MIN);
    let request = VerifyRequest {
        db: db.clone(),
        backup: Some(id.clone()),
        live: false,
    };
    let verifier = verifier.expect("checks");
    let verified = verifier.verify(&world.ctx, &request).await;
    verified.expect("verified")
}

#[tokio::test]
async fn a_restore_needs_only_a_few_locks_at_a_time() {
    let world = World::on(server_with_few_locks().await).await;
    let (endpoint, of) = world.source("").await;
    let session = Session::open(&endpoint, "test").await.expect("a session");
    many_tables(&session).await;
    let all_at_once = "drop schema public cascade";
    let error = session.batch_execute(all_at_once).await;
    let error = error.expect_err("too many locks");
    assert_eq!(error.code().map(|c| c.code()), Some("53200"), "{error}");
    session.close().await;

    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    world.apply(&db, &id).await;
    world.restore(&world.restorer(true), &db, &id).await;
    world.assert_same_rows(&db, &id).await;
    let verdict = checked(&world, &db, &id).await;
    assert!(verdict.passed(), "{:?}", verdict.complaints());
    // Into a schema that is there already, foreign keys and all.
    world.restore(&world.restorer(false), &db, &id).await;
    world.assert_same_rows(&db, &id).await;
    let (before, after) = (world.dump(&of).await, world.dump(&db).await);
    assert!(before == after, "{}", difference(&before, &after));
}

#[tokio::test]
async fn a_making_that_was_cut_goes_on_where_it_was() {
    let world = World::new().await;
    let (endpoint, _) = world.source("").await;
    let mut statements = vec!["SET row_security = on".to_owned()];
    statements.extend((1..350).map(|n| format!("create table public.t{n} (id int)")));
    statements[230] = "create table public.broken (id no_such_type)".to_owned();

    let session = Session::open(&endpoint, "test").await.expect("a session");
    let error = progress::run(&world.ctx, &session, &statements).await;
    let error = error.expect_err("a broken statement");
    assert!(error.chain().contains("public.broken"), "{}", error.chain());
    session.close().await;

    let session = Session::open(&endpoint, "test").await.expect("a session");
    let count = "select count(*)::text from pg_catalog.pg_tables where schemaname = 'public'";
    assert_eq!(text(&session, count).await, "199");
    statements[230] = "create table public.mended (id int)".to_owned();
    let run = progress::run(&world.ctx, &session, &statements);
    assert_eq!(run.await.expect("the rest"), 150);
    assert_eq!(text(&session, count).await, "349");
    assert_eq!(text(&session, "show row_security").await, "on");
    let again = progress::run(&world.ctx, &session, &statements);
    assert_eq!(again.await.expect("nothing"), 0);
    let left = "select count(*)::text from pg_catalog.pg_namespace where nspname ~ '^rebuild'";
    assert_eq!(text(&session, left).await, "0");
}
