use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::model::{RowForm, TableName};
use crate::postgres::ident;
use crate::testing::EXTENSION;
use crate::traits::DestroyPermit;

#[tokio::test]
async fn a_kitchen_sink_is_taken_and_proven() {
    let world = World::kitchen_sink().await;
    let manifest = world.take().await;
    assert_eq!(world.complaints(&manifest.id).await, Vec::<String>::new());

    let forms: Vec<RowForm> = manifest.tables.iter().map(|t| t.form).collect();
    assert!(forms.contains(&RowForm::Binary) && forms.contains(&RowForm::Text));
    assert!(manifest.large_objects.count > 0 && manifest.large_objects.bytes > 0);
    assert!(!manifest.partitioned.is_empty() && !manifest.foreign_tables.is_empty());
    assert!(!manifest.sequences.is_empty() && !manifest.materialized_views.is_empty());
    assert_eq!(manifest.catalog_tables, manifest.tables.len() as u64);

    // Each table holds what the server counts in it.
    let session = world.session().await;
    for entry in &manifest.tables {
        let sql = format!(
            "select pg_catalog.count(*) from only {}.{} {}",
            ident(&entry.table.schema).expect("name"),
            ident(&entry.table.name).expect("name"),
            entry.condition.as_deref().unwrap_or_default()
        );
        let count: i64 = session.query_one(&sql, &[]).await.expect("count").get(0);
        assert_eq!(
            count,
            i64::try_from(entry.rows).expect("few"),
            "{}",
            entry.table
        );
    }

    // The same database adds up to the same.
    let now = world.now(&manifest).await;
    assert_eq!(now, manifest.fingerprints());
}

#[tokio::test]
async fn a_table_in_parts_adds_up_to_what_it_does_at_once() {
    let world = World::with(
        "create table public.big (id int8, x text, y interval);
         insert into public.big
         select i, pg_catalog.repeat('row ' || i, 10), i * interval '1 minute'
           from pg_catalog.generate_series(1, 300000) as i;
         create table public.exact (p point);
         insert into public.exact
         select pg_catalog.point(i, i / 3.0) from pg_catalog.generate_series(1, 100000) as i",
    )
    .await;
    let parts = world.take().await;
    let once = world
        .take_with(&world.backup_with(RowOptions {
            jobs: NonZeroUsize::MIN,
            split_bytes: u64::MAX,
            chunk_bytes: u64::MAX,
            ..RowOptions::default()
        }))
        .await;
    for (parts, once) in parts.tables.iter().zip(&once.tables) {
        assert_eq!(parts.fingerprint(), once.fingerprint());
        assert!(parts.chunks.len() > 4, "{}", parts.chunks.len());
        assert!(once.chunks.len() < 3, "{}", once.chunks.len());
        // Servers before 14 read the whole table for each range of its pages.
        let in_parts = parts.chunks.iter().any(|c| !c.file.contains("-00000-"));
        assert_eq!(in_parts, world.cluster.major() >= 14);
        // A chunk is larger than asked for by one row and what came with it at most.
        assert!(
            parts
                .chunks
                .iter()
                .all(|c| c.raw_bytes < (256 << 10) + (600 << 10))
        );
    }
    assert_eq!(parts.tables[0].rows, 300_000);
    assert_eq!(world.complaints(&parts.id).await, Vec::<String>::new());
    assert_eq!(world.complaints(&once.id).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_finished_backup_is_returned_and_an_unfinished_one_taken_again() {
    let world = World::with("create table public.t (x int); insert into public.t values (1)").await;
    let backup = world.backup();
    let first = world.take().await;
    world.run("insert into public.t values (2)").await;
    let again = backup
        .take(&world.ctx, &world.identity, &first.id, BackupMode::Full)
        .await
        .expect("returned");
    assert_eq!(again, first.summary());

    // Without its manifest it is none, and what is left of it goes.
    let folder = world.folder_of(&first.id);
    std::fs::remove_file(folder.join("manifest.json")).expect("removed");
    std::fs::write(folder.join("rows/99999-00000-00000.copy.zst"), b"old").expect("written");
    assert_eq!(backup.list(&world.ctx).await.expect("list"), Vec::new());
    let anew = backup
        .take(&world.ctx, &world.identity, &first.id, BackupMode::Full)
        .await
        .expect("taken");
    assert_eq!(anew.rows, 2);
    assert_eq!(world.complaints(&first.id).await, Vec::<String>::new());

    let other = backup
        .take(
            &world.ctx,
            &world.identity,
            &first.id,
            BackupMode::CountsOnly,
        )
        .await
        .expect_err("another mode");
    assert!(other.is_refusal(), "{other:?}");
}

#[tokio::test]
async fn backups_are_listed_newest_first_and_removed_with_a_permit() {
    let world = World::with("create table public.t (x int)").await;
    let backup = world.backup();
    let one = world.take().await;
    let two = world.take().await;
    let listed = backup.list(&world.ctx).await.expect("list");
    assert_eq!(listed, [two.summary(), one.summary()]);

    let mut other = world.identity.clone();
    other.uid = "1".to_owned();
    let wrong = DestroyPermit::by_name(&other, &other.name).expect("permit");
    backup
        .remove(&world.ctx, &one.id, wrong)
        .await
        .expect_err("a permit for something else");
    for _ in 0..2 {
        let permit = DestroyPermit::by_name(&world.identity, &world.identity.name).expect("permit");
        backup
            .remove(&world.ctx, &one.id, permit)
            .await
            .expect("removed");
        let listed = backup.list(&world.ctx).await.expect("list");
        assert_eq!(listed, [two.summary()]);
    }
    let all = crate::store::Name::new("backups").expect("name");
    let left = world.store.list(&all).await.expect("list");
    assert!(
        left.iter()
            .all(|s| s.name.as_str().contains(two.id.as_str()))
    );
}

#[tokio::test]
async fn schema_and_counts_alone_are_backups_of_their_kind() {
    let world = World::with(
        "create table public.t (x int); insert into public.t values (1), (2);
         select pg_catalog.lo_from_bytea(0, 'abc')",
    )
    .await;
    let backup = world.backup();
    for (mode, rows, files) in [
        (BackupMode::SchemaOnly, 0, true),
        (BackupMode::CountsOnly, 2, false),
    ] {
        let id = BackupId::generate();
        let summary = backup
            .take(&world.ctx, &world.identity, &id, mode)
            .await
            .expect("taken");
        assert_eq!((summary.mode, summary.rows), (mode, rows));
        let manifest = backup.manifest(&id).await.expect("manifest");
        assert_eq!(!manifest.files.is_empty(), files);
        assert!(manifest.tables.iter().all(|t| t.chunks.is_empty()));
        assert_eq!(world.complaints(&id).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn csv_files_come_from_the_same_snapshot() {
    let world = World::with(
        "create table public.\"Odd name\" (a int, b text);
         insert into public.\"Odd name\" values (1, 'x,\"y\"'), (2, null), (3, '')",
    )
    .await;
    let backup = world.backup().with_csv(true);
    let manifest = world.take_with(&backup).await;
    assert_eq!(world.complaints(&manifest.id).await, Vec::<String>::new());
    let folder = world.store_folder.path().join("export");
    let files = backup
        .export(&world.ctx, &manifest.id, &folder, ExportFormat::Csv)
        .await
        .expect("exported");
    assert_eq!(files.len(), 1);
    let text = std::fs::read_to_string(&files[0]).expect("read");
    assert_eq!(text, "a,b\n1,\"x,\"\"y\"\"\"\n2,\n3,\"\"\n");
    let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&files[0])), (0o700, 0o600));

    let refused = backup
        .export(&world.ctx, &manifest.id, &folder, ExportFormat::Csv)
        .await
        .expect_err("something is there");
    assert!(refused.is_refusal());
}

#[tokio::test]
async fn bytes_and_names_of_other_encodings_are_kept() {
    let world = World::empty().await;
    let admin = world.session().await;
    for (name, encoding) in [("raw", "SQL_ASCII"), ("latin", "LATIN1")] {
        admin
            .batch_execute(&format!(
                "create database {name} template template0 encoding '{encoding}'"
            ))
            .await
            .expect("made");
    }
    // A byte that is no UTF-8, kept as it is; and letters that are other bytes in LATIN1.
    for (name, sql) in [
        (
            "raw",
            "set client_encoding = 'SQL_ASCII'; create table public.t (x text, p point);
             insert into public.t values (E'\\351', null), ('a', '(1,2)')",
        ),
        (
            "latin",
            "create table public.\"café\" (\"ü\" text, p point);
             insert into public.\"café\" values ('ä', '(1,2)'), (null, null)",
        ),
    ] {
        let world = world.beside(name).await;
        world.run(sql).await;
        let manifest = world.take().await;
        assert_eq!(manifest.tables[0].rows, 2);
        assert_eq!(world.complaints(&manifest.id).await, Vec::<String>::new());
        let stored = world
            .folder_of(&manifest.id)
            .join(&manifest.tables[0].chunks[0].file);
        let stored = std::fs::read(stored).expect("read");
        let rows = zstd::decode_all(stored.as_slice()).expect("zstd");
        let letter = if name == "raw" { 0xe9 } else { 0xe4 };
        assert!(rows.contains(&letter), "{rows:?}");
    }
}

#[tokio::test]
async fn odd_names_are_kept() {
    let world = World::with(
        "create schema \"a b\"; create table \"a b\".\"new\nline \"\"q\"\" 'x' \\ $1 表\" (\"c;--\" int, \"\t\" point);
         insert into \"a b\".\"new\nline \"\"q\"\" 'x' \\ $1 表\" values (1, null), (2, '(1,2)')",
    )
    .await;
    let manifest = world.take().await;
    let name = TableName::new("a b", "new\nline \"q\" 'x' \\ $1 表");
    assert_eq!(manifest.tables[0].table, name);
    assert_eq!(manifest.tables[0].rows, 2);
    assert_eq!(world.complaints(&manifest.id).await, Vec::<String>::new());
}

#[tokio::test]
async fn of_an_extensions_tables_only_the_users_rows_are_kept() {
    let rows = "
        create table ext.hidden (x int);
        alter extension plpgsql add table ext.hidden;
        insert into ext.filtered select i, true from pg_catalog.generate_series(11, 14) i;
        insert into ext.whole values (1);
        insert into ext.hidden values (1)";
    let world = World::with(&format!("{EXTENSION}; {rows}")).await;
    let manifest = world.take().await;
    let kept: Vec<(&str, Option<&str>, u64)> = manifest
        .tables
        .iter()
        .map(|t| (t.table.name.as_str(), t.condition.as_deref(), t.rows))
        .collect();
    assert_eq!(
        kept,
        [("filtered", Some("where own"), 4), ("whole", Some(""), 1)]
    );
    assert_eq!(world.complaints(&manifest.id).await, Vec::<String>::new());
    let now = world.now(&manifest).await;
    assert_eq!(now, manifest.fingerprints());
}
