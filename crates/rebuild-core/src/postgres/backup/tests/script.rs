use std::process::{Output, Stdio};

use tokio::process::Command;

use super::*;
use crate::model::Host;
use crate::postgres::backup::layout::LARGE_OBJECTS;
use crate::postgres::backup::{contents, large_objects};
use crate::postgres::fingerprints;
use crate::testing::{EXTENSION, dump};

async fn schema(world: &World, endpoint: &Endpoint) -> Vec<String> {
    let dumped = dump(&world.cluster, endpoint, &["--schema-only"]).await;
    let text = dumped.expect("dumped");
    text.lines().map(str::to_owned).collect()
}

/// Runs the script of a backup, which restores it into `name` on the server of `to`.
async fn run_script(world: &World, manifest: &Manifest, to: &Endpoint, name: &str) -> Output {
    let Host::Socket(dir) = &to.host else {
        panic!("the cluster listens on a socket");
    };
    let tools = client_bin_dir(&world.cluster);
    let path = std::env::var("PATH").expect("PATH");
    Command::new("sh")
        .arg(world.folder_of(&manifest.id).join("restore.sh"))
        .arg(name)
        .env("PATH", format!("{}:{path}", tools.display()))
        .env("PGHOST", dir)
        .env("PGPORT", to.port.to_string())
        .env("PGUSER", &to.user)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("sh runs")
}

async fn restore(world: &World, manifest: &Manifest, to: &Endpoint, name: &str) -> Endpoint {
    let output = run_script(world, manifest, to, name).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    to.with_database(name)
}

#[tokio::test]
async fn psql_and_zstd_alone_bring_a_kitchen_sink_back_on_another_server() {
    let world = World::kitchen_sink().await;
    let manifest = world.take().await;
    let elsewhere = cluster().await.expect("another cluster");
    let copy = restore(
        &world,
        &manifest,
        &elsewhere.endpoint("postgres"),
        "a \"new\" 'name'",
    )
    .await;
    let session = Session::open(&copy, "test").await.expect("session");
    if manifest.server_version < 150_000 {
        session
            .batch_execute("revoke create on schema public from public")
            .await
            .expect("what newer pg_dumps forget");
    }
    let (before, after) = (
        schema(&world, &world.endpoint).await,
        schema(&world, &copy).await,
    );
    let differs = before.iter().zip(&after).find(|(a, b)| a != b);
    assert_eq!(differs, None);
    assert_eq!(before.len(), after.len());

    let identity = find_database(&session, DatabaseKey::Current)
        .await
        .expect("identity")
        .expect("there");
    let rows = fingerprints(&world.ctx, &copy, &identity, &manifest, &World::options())
        .await
        .expect("added up");
    assert_eq!(rows, manifest.fingerprints());
    assert_eq!(
        contents::sequences(&session).await.expect("sequences"),
        manifest.sequences
    );
    assert_eq!(
        contents::materialized_views(&session).await.expect("views"),
        manifest.materialized_views
    );
    let objects = large_objects::add_up(&world.ctx, &session, &World::options())
        .await
        .expect("large objects");
    assert_eq!(objects, manifest.large_objects);

    let mut facts = crate::postgres::database_facts(&session, DatabaseKey::Current)
        .await
        .expect("facts");
    let mut wanted = manifest.database.clone();
    for facts in [&mut facts, &mut wanted] {
        // Another database, of about the same size.
        facts.identity = identity.clone();
        facts.bytes = 0;
        if let Some(acl) = &mut facts.acl {
            acl.sort();
        }
    }
    assert_eq!(facts, wanted);
}

#[tokio::test]
async fn names_and_bytes_that_shells_and_encodings_dislike_come_back() {
    let world = World::empty().await;
    let admin = world.session().await;
    for (name, encoding, sql) in [
        (
            "it's \"$(id)\" \\",
            "UTF8",
            "create table public.\"new\nline \"\"q\"\" 'x' \\ $(id) 表\" (\"c;'--\" int, p point);
             insert into public.\"new\nline \"\"q\"\" 'x' \\ $(id) 表\" values (1, null), (2, '(1,2)')",
        ),
        (
            "latin",
            "LATIN1",
            "create table public.\"café\" (\"ü\" text, p point);
             insert into public.\"café\" values ('ä', '(1,2)'), (null, null);
             create table public.plain (\"ö\" text); insert into public.plain values ('ß')",
        ),
        (
            "raw",
            "SQL_ASCII",
            "set client_encoding = 'SQL_ASCII'; create table public.\"café\" (x text, p point);
             insert into public.\"café\" values (E'\\351', null), ('a', '(1,2)');
             create table public.plain (x text); insert into public.plain values (E'\\351')",
        ),
    ] {
        admin
            .batch_execute(&format!(
                "create database {} template template0 encoding '{encoding}'",
                crate::postgres::ident(name).expect("name")
            ))
            .await
            .expect("made");
        let world = world.beside(name).await;
        world.run(sql).await;
        let manifest = world.take().await;
        let copy = restore(&world, &manifest, &world.endpoint, &format!("{name} 2")).await;
        let copied = world.beside(&copy.database).await;
        let rows = fingerprints(
            &world.ctx,
            &copy,
            &copied.identity,
            &manifest,
            &World::options(),
        )
        .await
        .expect("added up");
        assert_eq!(rows, manifest.fingerprints());
        assert_eq!(schema(&world, &copy).await, schema(&world, &world.endpoint).await);
    }
}

#[tokio::test]
async fn the_script_stops_at_the_first_error() {
    let world = World::empty().await;
    let session = world.session().await;
    let table = "create table public.t (n int); insert into public.t values (1), (2)";
    session.batch_execute(table).await.expect("a table");
    session.close().await;
    let manifest = world.take().await;
    let elsewhere = cluster().await.expect("another cluster");
    let to = elsewhere.endpoint("postgres");
    let copy = restore(&world, &manifest, &to, "copy").await;
    // The database is there already: that is an error, and nothing goes into it a second time.
    let again = run_script(&world, &manifest, &to, "copy").await;
    assert!(!again.status.success());
    let session = Session::open(&copy, "test").await.expect("a session");
    let count = "select pg_catalog.count(*) from public.t";
    let rows: i64 = session.query_one(count, &[]).await.expect("rows").get(0);
    assert_eq!(rows, 2);
}

#[tokio::test]
async fn a_file_that_is_damaged_or_gone_stops_the_script() {
    let world = World::with(
        "create table public.t (n int); insert into public.t values (1), (2);
         select pg_catalog.lo_from_bytea(77, 'abcdef')",
    )
    .await;
    let manifest = world.take().await;
    let folder = world.folder_of(&manifest.id);
    let chunk = manifest.tables[0].chunks[0].file.as_str();
    for (number, file) in [LARGE_OBJECTS, chunk].into_iter().enumerate() {
        let whole = std::fs::read(folder.join(file)).expect("read");
        let mut flipped = whole.clone();
        *flipped.last_mut().expect("a byte") ^= 0x40;
        let damages = [Some(&flipped[..]), Some(&whole[..whole.len() / 2]), None];
        for (damage, bytes) in damages.into_iter().enumerate() {
            match bytes {
                Some(bytes) => std::fs::write(folder.join(file), bytes).expect("written"),
                None => std::fs::remove_file(folder.join(file)).expect("removed"),
            }
            let name = format!("copy_{number}_{damage}");
            let output = run_script(&world, &manifest, &world.endpoint, &name).await;
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{file} {damage}: {told}");
            assert!(!told.contains("restored"), "{file} {damage}: {told}");
        }
        std::fs::write(folder.join(file), whole).expect("written back");
    }
    restore(&world, &manifest, &world.endpoint, "copy").await;
}

#[tokio::test]
async fn of_an_extensions_tables_the_users_rows_take_the_place_of_others() {
    let extension = format!("{EXTENSION}; alter extension plpgsql add schema ext");
    let rows = "insert into ext.filtered select i, true from pg_catalog.generate_series(11, 300) i;
                insert into ext.whole select pg_catalog.generate_series(1, 100)";
    let world = World::with(&format!("{extension}; {rows}")).await;
    let manifest = world.take().await;
    // What every new database has there, as if CREATE EXTENSION made it.
    let elsewhere = cluster().await.expect("another cluster");
    let to = elsewhere.endpoint("postgres");
    let admin = Session::open(&to, "test").await.expect("session");
    let open = "alter database template0 allow_connections true";
    admin.batch_execute(open).await.expect("opened");
    let template = Session::open(&elsewhere.endpoint("template0"), "test").await;
    let template = template.expect("session");
    let before = "insert into ext.filtered values (-5, true); insert into ext.whole values (-5)";
    let made = format!("{extension}; {before}");
    template.batch_execute(&made).await.expect("made");
    template.close().await;
    let copy = restore(&world, &manifest, &to, "copy").await;
    let session = Session::open(&copy, "test").await.expect("session");
    let found = "select (select pg_catalog.count(*) from ext.filtered where own),
                        (select pg_catalog.count(*) from ext.filtered where not own),
                        (select pg_catalog.count(*) from ext.whole)";
    let found = session.query_one(found, &[]).await.expect("counted");
    let found: [i64; 3] = [found.get(0), found.get(1), found.get(2)];
    assert_eq!(found, [290, 3, 100]);
}
