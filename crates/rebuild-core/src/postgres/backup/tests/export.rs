//! Backups as files that other programs read.

mod csv;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use super::*;
use crate::error::{ErrorKind, Result};
use crate::postgres::backup::{contents, large_objects};
use crate::postgres::compare;
use crate::testing::{EXTENSION, client, dump};

impl World {
    async fn export(
        &self,
        manifest: &Manifest,
        to: &Path,
        as_: ExportFormat,
    ) -> Result<Vec<PathBuf>> {
        self.backup().export(&self.ctx, &manifest.id, to, as_).await
    }
}

/// Loads `file` with the real psql into the database of `into`.
async fn load(world: &World, file: &Path, into: &Endpoint, arguments: &[&str]) -> Output {
    client(&world.cluster, "psql", into)
        .args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1"])
        .args(arguments)
        .arg("-f")
        .arg(file)
        .output()
        .await
        .expect("psql runs")
}

#[track_caller]
fn succeeded(output: Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[track_caller]
fn failed(output: Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(why), "{said}");
}

async fn run(endpoint: &Endpoint, sql: &str) {
    let session = Session::open(endpoint, "test").await.expect("session");
    session.batch_execute(sql).await.expect(sql);
    session.close().await;
}

async fn schema(world: &World, endpoint: &Endpoint) -> Vec<String> {
    let dumped = dump(&world.cluster, endpoint, &["--schema-only"]).await;
    dumped.expect("dumped").lines().map(str::to_owned).collect()
}

/// The database at `copy` is what `manifest` says, down to every row.
async fn assert_restored(world: &World, manifest: &Manifest, copy: &Endpoint) {
    let comparison = compare(&world.ctx, &world.endpoint, copy, true).await;
    let comparison = comparison.expect("compared");
    assert!(comparison.same(), "{:?}", comparison.differing);
    assert!(comparison.tables > 0);
    let session = Session::open(copy, "test").await.expect("session");
    let identity = find_database(&session, DatabaseKey::Current).await;
    let identity = identity.expect("identity").expect("there");
    let rows = fingerprints(&world.ctx, copy, &identity, manifest, &World::options()).await;
    assert_eq!(rows.expect("added up"), manifest.fingerprints());
    let sequences = contents::sequences(&session).await.expect("sequences");
    assert_eq!(sequences, manifest.sequences);
    let views = contents::materialized_views(&session).await.expect("views");
    assert_eq!(views, manifest.materialized_views);
    let objects = large_objects::add_up(&world.ctx, &session, &World::options()).await;
    assert_eq!(objects.expect("large objects"), manifest.large_objects);
    let (before, after) = (
        schema(world, &world.endpoint).await,
        schema(world, copy).await,
    );
    let differs = before.iter().zip(&after).find(|(a, b)| a != b);
    assert_eq!((differs, before.len()), (None, after.len()));
}

#[tokio::test]
async fn psql_alone_brings_a_kitchen_sink_back_from_one_file() {
    let world = World::kitchen_sink().await;
    let manifest = world.take().await;
    let folder = world.store_folder.path().join("sql");
    let written = world.export(&manifest, &folder, ExportFormat::Sql).await;
    let written = written.expect("exported");
    let file = folder.join(format!("{}.sql", manifest.of.name));
    assert_eq!(written, std::slice::from_ref(&file));
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 1);
    let text = std::fs::read(&file).expect("read");
    assert!(text.ends_with(b".sql is whole.\n"));
    let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));

    let elsewhere = cluster().await.expect("another cluster");
    let admin = elsewhere.endpoint("postgres");
    // Into one that is there and empty.
    let empty = "create database empty template template0 encoding 'UTF8'";
    run(&admin, empty).await;
    let copy = elsewhere.endpoint("empty");
    succeeded(load(&world, &file, &copy, &[]).await);
    assert_restored(&world, &manifest, &copy).await;
    failed(load(&world, &file, &copy, &[]).await, "is not empty");
    // Into one that it makes, with its settings.
    let name = r#"its=own 'c\d' "e""#;
    let made = format!("database={name}");
    succeeded(load(&world, &file, &admin, &["-v", &made]).await);
    let own = elsewhere.endpoint(name);
    assert_restored(&world, &manifest, &own).await;
    let session = Session::open(&own, "test").await.expect("session");
    let facts = crate::postgres::database_facts(&session, DatabaseKey::Current).await;
    let facts = facts.expect("facts");
    let wanted = &manifest.database;
    assert_eq!(facts.settings, wanted.settings);
    assert_eq!(
        (facts.owner, facts.comment),
        (wanted.owner.clone(), wanted.comment.clone())
    );
    let again = load(&world, &file, &admin, &["-v", &made]).await;
    failed(again, "already exists");
}

#[tokio::test]
async fn nothing_is_made_on_a_server_whose_database_is_not_empty() {
    let world = World::with(
        "create role of_the_export; create table public.t (x int);
         alter table public.t owner to of_the_export",
    )
    .await;
    let manifest = world.take().await;
    let folder = world.store_folder.path().join("sql");
    let written = world.export(&manifest, &folder, ExportFormat::Sql).await;
    let elsewhere = cluster().await.expect("another cluster");
    let other = elsewhere.endpoint("postgres");
    run(&other, "create table public.other (x int)").await;
    let loaded = load(&world, &written.expect("exported")[0], &other, &[]).await;
    failed(loaded, "is not empty");
    let session = Session::open(&other, "test").await.expect("session");
    let roles = "select count(*) from pg_catalog.pg_roles where rolname = 'of_the_export'";
    let roles = session.query_one(roles, &[]).await.expect("counted");
    assert_eq!(roles.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn of_an_extensions_tables_the_users_rows_take_the_place_of_others() {
    let extension = format!("{EXTENSION}; alter extension plpgsql add schema ext");
    let rows = "insert into ext.filtered select i, true from pg_catalog.generate_series(11, 300) i;
                insert into ext.whole select pg_catalog.generate_series(1, 100)";
    let world = World::with(&format!("{extension}; {rows}")).await;
    let manifest = world.take().await;
    let folder = world.store_folder.path().join("sql");
    let written = world.export(&manifest, &folder, ExportFormat::Sql).await;
    let elsewhere = cluster().await.expect("another cluster");
    let copy = elsewhere.endpoint("postgres");
    let before = "insert into ext.filtered values (-5, true), (-6, false);
                  insert into ext.whole values (-5)";
    run(&copy, &format!("{extension}; {before}")).await;
    succeeded(load(&world, &written.expect("exported")[0], &copy, &[]).await);
    let session = Session::open(&copy, "test").await.expect("session");
    for (sql, expected) in [
        ("select count(*) from ext.filtered where own", 290),
        ("select min(x)::int8 from ext.filtered where own", 11),
        ("select count(*) from ext.filtered where not own", 4),
        ("select count(*) from ext.whole", 100),
        ("select min(x)::int8 from ext.whole", 1),
    ] {
        let row = session.query_one(sql, &[]).await.expect(sql);
        assert_eq!(row.get::<_, i64>(0), expected, "{sql}");
    }
}

#[tokio::test]
async fn letters_and_bytes_of_other_encodings_come_back_from_sql() {
    let world = World::empty().await;
    for (name, encoding, sql) in [
        (
            "it's \"$(id)\" \\\n\\! false",
            "UTF8",
            "create table public.\"new\nline \"\"q\"\" 'x' \\ $(id) 表\" (\"c;'--\" int, p point);
             insert into public.\"new\nline \"\"q\"\" 'x' \\ $(id) 表\" values (1, null), (2, '(1,2)')",
        ),
        (
            "latin",
            "LATIN1",
            "create table public.\"café\" (\"ü\" text, p point);
             insert into public.\"café\" values ('ä', '(1,2)'), (null, null);
             create table public.plain (\"ö\" text, c \"char\"); insert into public.plain
             select 'ß', n::\"char\" from pg_catalog.generate_series(-128, 127) n",
        ),
        (
            "raw",
            "SQL_ASCII",
            "set client_encoding = 'SQL_ASCII'; create table public.\"café\" (x text, p point);
             insert into public.\"café\" values (E'\\351', null), ('a', '(1,2)');
             create table public.plain (x text, c \"char\");
             insert into public.plain values (E'\\351', (-23)::\"char\")",
        ),
        (
            "japanese",
            "EUC_JP",
            "create table public.\"表\" (\"名\" text); insert into public.\"表\" values ('語'), ('a')",
        ),
    ] {
        let create = format!(
            "create database {} template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'",
            crate::postgres::ident(name).expect("name")
        );
        run(&world.endpoint, &create).await;
        let world = world.beside(name).await;
        world.run(sql).await;
        let manifest = world.take().await;
        let folder = world.store_folder.path().join("sql");
        let written = world.export(&manifest, &folder, ExportFormat::Sql).await;
        let file = &written.expect("exported")[0];
        if !name.is_ascii() || name.contains('\n') {
            assert_eq!(*file, folder.join(format!("{}.sql", manifest.id)));
        }
        let at = world.endpoint.with_database("postgres");
        let copy = format!("copy_{}", manifest.id.as_str().replace('-', "_"));
        succeeded(load(&world, file, &at, &["-v", &format!("database={copy}")]).await);
        assert_restored(&world, &manifest, &world.endpoint.with_database(&copy)).await;
    }
}

#[tokio::test]
async fn a_byte_that_a_server_cannot_read_stops_the_load() {
    let world = World::with(
        "create table public.t (c \"char\"); insert into public.t values ((-1)::\"char\"), ('a')",
    )
    .await;
    let manifest = world.take().await;
    let folder = world.store_folder.path().join("sql");
    let written = world.export(&manifest, &folder, ExportFormat::Sql).await;
    let at = world.endpoint.with_database("postgres");
    let loaded = load(
        &world,
        &written.expect("exported")[0],
        &at,
        &["-v", "database=copy"],
    )
    .await;
    if world.cluster.major() >= 15 {
        succeeded(loaded);
        assert_restored(&world, &manifest, &world.endpoint.with_database("copy")).await;
    } else {
        failed(loaded, "above 127");
    }
}

#[tokio::test]
async fn what_is_damaged_is_named_and_leaves_nothing() {
    let world = World::with(
        "create table public.b (x int, t text); insert into public.b
         select n, pg_catalog.md5(n::text) from pg_catalog.generate_series(1, 40000) n;
         create table public.t (p point); insert into public.t
         select pg_catalog.point(n, n) from pg_catalog.generate_series(1, 40000) n",
    )
    .await;
    let manifest = world.take().await;
    let folder = world.store_folder.path().join("out");
    let stored = world.folder_of(&manifest.id);
    let both = [ExportFormat::Sql, ExportFormat::Csv];
    let mut files = Vec::new();
    for table in &manifest.tables {
        assert!(table.chunks.len() > 1);
        files.push((table.chunks.last().expect("one").file.clone(), &both[..]));
    }
    files.push(("post-data.sql".to_owned(), &both[..1]));
    files.push(("large-objects.sql.zst".to_owned(), &both[..1]));
    for (file, formats) in files {
        let path = stored.join(&file);
        let whole = std::fs::read(&path).expect("read");
        let mut flipped = whole.clone();
        let middle = whole.len() / 2;
        flipped[middle] ^= 1;
        for damaged in [&flipped[..], &whole[..middle]] {
            std::fs::write(&path, damaged).expect("written");
            for format in formats {
                let error = world.export(&manifest, &folder, *format).await;
                let error = error.expect_err("damaged");
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
                assert!(error.chain().contains(&file), "{}", error.chain());
                assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0);
            }
        }
        std::fs::write(&path, whole).expect("written back");
    }
    for format in both {
        let folder = world.store_folder.path().join(format!("{format:?}"));
        world
            .export(&manifest, &folder, format)
            .await
            .expect("whole again");
    }
}

/// Somebody who can write the store changes a file of a backup, and makes a manifest that fits it.
fn forge(world: &World, manifest: &Manifest, file: &str, stored: &[u8]) {
    let folder = world.folder_of(&manifest.id);
    std::fs::write(folder.join(file), stored).expect("written");
    let bytes = manifest.to_bytes().expect("JSON");
    std::fs::write(folder.join("manifest.json"), bytes).expect("written");
}

#[tokio::test]
async fn rows_that_end_the_rows_are_damage() {
    let world =
        World::with("create table public.t (p point); insert into public.t values ('(1,2)')").await;
    let mut manifest = world.take().await;
    for (rows, said) in [
        (&b"\\.\n"[..], "end of the rows"),
        (b"(1,2)\n\\.\n", "end of the rows"),
        (b"(1,2)\0\n", "a byte that is in no text"),
    ] {
        let chunk = &mut manifest.tables[0].chunks[0];
        let stored = zstd::encode_all(rows, 1).expect("zstd");
        chunk.raw_bytes = rows.len() as u64;
        chunk.stored_bytes = stored.len() as u64;
        chunk.blake3 = blake3::hash(&stored).to_hex().to_string();
        let file = chunk.file.clone();
        forge(&world, &manifest, &file, &stored);
        for format in [ExportFormat::Sql, ExportFormat::Csv] {
            let to = world.store_folder.path().join(format!("{format:?}"));
            let error = world.export(&manifest, &to, format).await;
            let error = error.expect_err("damage");
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.chain().contains(said), "{}", error.chain());
        }
    }
}

#[tokio::test]
async fn what_a_schema_says_to_psql_is_refused() {
    let world = World::with("create table public.t (x int)").await;
    let mut manifest = world.take().await;
    for script in ["pre-data.sql", "post-data.sql"] {
        let path = world.folder_of(&manifest.id).join(script);
        let whole = std::fs::read(&path).expect("a script");
        let stored = [&whole[..], b"\n\\! touch somewhere\n"].concat();
        let entry = manifest.files.iter_mut().find(|f| f.file == script);
        let entry = entry.expect("in the manifest");
        let before = entry.clone();
        entry.stored_bytes = stored.len() as u64;
        entry.blake3 = blake3::hash(&stored).to_hex().to_string();
        forge(&world, &manifest, script, &stored);
        let to = world.store_folder.path().join("out");
        let error = world.export(&manifest, &to, ExportFormat::Sql).await;
        let error = error.expect_err("a command of psql");
        assert!(error.chain().contains(script), "{}", error.chain());
        assert_eq!(std::fs::read_dir(&to).expect("a folder").count(), 0);
        let entry = manifest.files.iter_mut().find(|f| f.file == script);
        *entry.expect("in the manifest") = before;
        forge(&world, &manifest, script, &whole);
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused_and_a_stop_leaves_nothing() {
    let world = World::with("create table public.t (x int); insert into public.t values (1)").await;
    let backup = world.backup();
    let folder = |name: &str| world.store_folder.path().join(name);
    for (mode, sql) in [
        (BackupMode::SchemaOnly, true),
        (BackupMode::CountsOnly, false),
    ] {
        let id = BackupId::generate();
        let taken = backup.take(&world.ctx, &world.identity, &id, mode).await;
        taken.expect("taken");
        let manifest = backup.manifest(&id).await.expect("manifest");
        let csv = world
            .export(&manifest, &folder("csv"), ExportFormat::Csv)
            .await;
        assert!(csv.expect_err("no rows").is_refusal());
        let to = folder(&format!("{mode:?}"));
        match world.export(&manifest, &to, ExportFormat::Sql).await {
            Ok(files) => {
                assert!(sql);
                let at = world.endpoint.with_database("postgres");
                succeeded(load(&world, &files[0], &at, &["-v", "database=schema_alone"]).await);
                let copy = world.endpoint.with_database("schema_alone");
                assert_eq!(
                    schema(&world, &copy).await,
                    schema(&world, &world.endpoint).await
                );
            }
            Err(e) => assert!(!sql && e.is_refusal(), "{e:?}"),
        }
    }
    let manifest = world.take().await;
    let ctx = Ctx::quiet();
    ctx.stop.cancel();
    for format in [ExportFormat::Sql, ExportFormat::Csv] {
        let to = folder(&format!("stopped {format:?}"));
        let stopped = backup.export(&ctx, &manifest.id, &to, format).await;
        assert_eq!(stopped.expect_err("stopped").kind(), ErrorKind::Interrupted);
        assert_eq!(std::fs::read_dir(&to).expect("a folder").count(), 0);
    }
}
