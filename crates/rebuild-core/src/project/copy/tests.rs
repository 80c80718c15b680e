//! Copies between real servers.

mod cut;
mod shared;

use std::num::NonZeroUsize;

use super::*;
use crate::error::ErrorKind;
use crate::postgres::{LocalCluster, compare, ident};
use crate::testing::{client_bin_dir, cluster, dump, load_kitchen_sink, scratch_database};

/// Two servers.
struct World {
    here: LocalCluster,
    there: LocalCluster,
    environment: Environment,
    ctx: Ctx,
}

impl World {
    async fn new() -> Self {
        let (here, there) = tokio::join!(cluster(), cluster());
        Self {
            here: here.expect("a server"),
            there: there.expect("a server"),
            environment: Environment::from_process(),
            ctx: Ctx::quiet(),
        }
    }

    /// A database on the first server.
    async fn source(&self, sql: &str) -> Endpoint {
        let source = scratch_database(&self.here).await.expect("a database");
        let session = Session::open(&source, "test").await.expect("session");
        session.batch_execute(sql).await.expect("the source");
        source
    }

    /// A copy of `source` as `twin` on the second server, with everything in small pieces.
    async fn copying<'a>(&'a self, source: &'a Endpoint, from: Identity) -> Copying<'a> {
        Copying {
            source,
            from,
            server: self.there.endpoint("postgres"),
            name: "twin",
            options: RowOptions {
                jobs: NonZeroUsize::new(8).expect("some"),
                split_bytes: 16384,
                ..RowOptions::default()
            },
            tools: Some(client_bin_dir(&self.here)),
            mark: None,
            environment: &self.environment,
        }
    }

    async fn copy(&self, source: &Endpoint) -> Result<(Identity, Verdict)> {
        let from = identity(source).await;
        self.copying(source, from).await.straight(&self.ctx).await
    }

    /// The databases of the second server that are not its own.
    async fn made(&self) -> Vec<String> {
        let admin = Session::open(&self.there.endpoint("postgres"), "test").await;
        let sql = "select datname from pg_catalog.pg_database
                    where not datistemplate and datname <> 'postgres' order by 1";
        let rows = admin.expect("session").query(sql, &[]).await;
        rows.expect("names").iter().map(|row| row.get(0)).collect()
    }

    /// The copy has the schema of `source`, and its rows.
    async fn assert_same(&self, source: &Endpoint) {
        let twin = self.there.endpoint("twin");
        let schema = ["--schema-only"];
        let (before, after) = tokio::join!(
            dump(&self.here, source, &schema),
            dump(&self.there, &twin, &schema)
        );
        let (before, after) = (before.expect("a dump"), after.expect("a dump"));
        let differing = before.lines().zip(after.lines()).find(|(a, b)| a != b);
        assert!(before == after, "{differing:?}");
        let compared = compare(&self.ctx, source, &twin, false).await;
        let compared = compared.expect("compared");
        assert!(compared.tables > 0 && compared.same(), "{compared:?}");
    }
}

async fn identity(endpoint: &Endpoint) -> Identity {
    let session = Session::open(endpoint, "test").await.expect("session");
    let facts = database_facts(&session, DatabaseKey::Current).await;
    facts.expect("facts").identity
}

#[tokio::test]
async fn everything_is_copied_to_another_server() {
    let world = World::new().await;
    let source = world.source("").await;
    load_kitchen_sink(&source).await.expect("the kitchen sink");
    // Its roles are there too.
    let roles = scratch_database(&world.there).await.expect("a database");
    load_kitchen_sink(&roles).await.expect("the roles");
    let (_, verdict) = world.copy(&source).await.expect("copied");
    assert!(verdict.passed(), "{:?}", verdict.complaints());
    world.assert_same(&source).await;
    // Large objects and sequences are in no table.
    let twin = world.there.endpoint("twin");
    let objects = ["--data-only", "--blobs", "--exclude-table-data=*.*"];
    let (before, after) = tokio::join!(
        dump(&world.here, &source, &objects),
        dump(&world.there, &twin, &objects)
    );
    let (before, after) = (before.expect("a dump"), after.expect("a dump"));
    assert!(before.contains("lowrite"), "there are large objects");
    assert!(before == after, "large objects differ");
    let sql = "select coalesce(string_agg(s::text, ' ' order by s::text), '')
                 from pg_catalog.pg_sequences s";
    let (before, after) = (text(&source, sql).await, text(&twin, sql).await);
    assert!(!before.is_empty());
    assert_eq!(before, after);
}

async fn text(endpoint: &Endpoint, sql: &str) -> String {
    let session = Session::open(endpoint, "test").await.expect("session");
    session.query_one(sql, &[]).await.expect(sql).get(0)
}

#[tokio::test]
async fn a_table_in_parts_comes_whole_and_one_in_one_piece_is_frozen() {
    let world = World::new().await;
    let sql = "create table public.large (id int primary key, x text);
               create table public.small (id int references public.large);
               create table public.tiny (id int);
               insert into public.large
                 select i, repeat('x', 100) from pg_catalog.generate_series(1, 50000) i;
               delete from public.large where id % 7 = 0;
               insert into public.small
                 select i from public.large l(i), pg_catalog.generate_series(1, 500) where i < 10;
               insert into public.tiny values (1);
               create index by_x on public.large (x)";
    let source = world.source(sql).await;
    let (_, verdict) = world.copy(&source).await.expect("copied");
    assert!(verdict.passed(), "{:?}", verdict.complaints());
    world.assert_same(&source).await;
    let twin = Session::open(&world.there.endpoint("twin"), "test").await;
    let sql = "select xmin::text from public.large union select 'small ' || xmin from public.small";
    let twin = twin.expect("session");
    let rows = twin.query(sql, &[]).await.expect("rows");
    let (small, large): (Vec<String>, Vec<String>) = rows
        .iter()
        .map(|r| r.get(0))
        .partition(|x: &String| x.starts_with("small"));
    // A range of pages can be read by itself since 14.
    let parts = world.there.major() >= 14;
    assert_eq!(
        large.len() > 1,
        parts,
        "transactions that wrote it: {large:?}"
    );
    assert_eq!(small.len(), 1, "{small:?}");
    let visible = async |table: &str| {
        let sql = "select relallvisible > 0 from pg_catalog.pg_class where relname = $1";
        let row = twin.query_one(sql, &[&table]).await.expect("the class");
        row.get::<_, bool>(0)
    };
    // Servers before 14 freeze rows and leave the visibility map to VACUUM.
    assert_eq!(visible("small").await, parts, "without VACUUM");
    assert!(!visible("tiny").await, "not worth new files");
}

#[tokio::test]
async fn bytes_of_no_encoding_are_copied_as_they_are() {
    let world = World::new().await;
    let admin = Session::open(&world.here.endpoint("postgres"), "test").await;
    for (name, encoding) in [("raw", "SQL_ASCII"), ("latin", "LATIN1")] {
        let sql = format!(
            "create database {} template template0 encoding '{encoding}' locale 'C'",
            ident(name).expect("a name")
        );
        let made = admin.as_ref().expect("session").batch_execute(&sql).await;
        made.expect("made");
    }
    for (name, sql) in [
        (
            "raw",
            "set client_encoding = 'SQL_ASCII'; create table public.t (x text, p point);
             create table public.\"b\u{e9}\" (x text);
             insert into public.t values (E'\\351', null), ('a\\b', '(1,2)');
             insert into public.\"b\u{e9}\" values (E'\\377')",
        ),
        (
            "latin",
            "create table public.\"caf\u{e9}\" (\"\u{fc}\" text, p point);
             insert into public.\"caf\u{e9}\" values ('\u{e4}', '(1,2)'), (null, null)",
        ),
    ] {
        let source = world.here.endpoint(name);
        let session = Session::open(&source, "test").await.expect("session");
        session.batch_execute(sql).await.expect(name);
        session.close().await;
        let (_, verdict) = world.copy(&source).await.expect("copied");
        assert!(verdict.passed(), "{:?}", verdict.complaints());
        world.assert_same(&source).await;
        let admin = Session::open(&world.there.endpoint("postgres"), "test").await;
        let dropped = admin
            .expect("session")
            .batch_execute("drop database twin")
            .await;
        dropped.expect("dropped");
    }
}

#[tokio::test]
async fn a_database_is_not_copied_onto_itself_or_another() {
    let cluster = cluster().await.expect("a server");
    let source = scratch_database(&cluster).await.expect("a database");
    let other = scratch_database(&cluster).await.expect("a database");
    let folder = tempfile::tempdir().expect("a folder");
    let environment = Environment::from_process();
    for (target, why) in [(&source, "onto itself"), (&other, "exists already")] {
        let copied = copy(
            &source,
            target,
            "postgres",
            Some(folder.path()),
            &environment,
            Events::none(),
            CancellationToken::new(),
        );
        let e = copied.await.expect_err("refused");
        assert!(e.is_refusal(), "{e:?}");
        assert!(e.to_string().contains(why), "{e:?}");
    }
    let mut left = std::fs::read_dir(folder.path()).expect("a folder");
    assert!(left.next().is_none(), "no backup was taken");
}
