//! What other tools are known to trip over when they read a database.

use super::*;
use crate::error::ErrorKind;

#[tokio::test]
async fn a_table_without_statistics_is_split_by_the_size_it_has() {
    // Nobody has counted it yet: the catalog says 0 pages, and -1 or 0 rows.
    let world = World::with(
        "create table public.t (id int, x text) with (autovacuum_enabled = off);
         insert into public.t
         select i, pg_catalog.repeat('x', 300) from pg_catalog.generate_series(1, 40000) i",
    )
    .await;
    let session = world.session().await;
    let row = session
        .query_one(
            "select relpages, reltuples::pg_catalog.float8 from pg_catalog.pg_class
              where oid = 'public.t'::pg_catalog.regclass",
            &[],
        )
        .await
        .expect("asked");
    assert_eq!(row.get::<_, i32>(0), 0);
    assert!(row.get::<_, f64>(1) < 1.0);
    let manifest = world.take().await;
    let entry = &manifest.tables[0];
    assert_eq!((entry.rows, entry.estimated_rows), (40_000, None));
    // Servers before 14 read the whole table for each range of its pages.
    let parts: std::collections::BTreeSet<&str> = entry
        .chunks
        .iter()
        .filter_map(|c| c.file.split('-').nth(1))
        .collect();
    let split = world.cluster.major() >= 14;
    assert_eq!(parts.len() > 4, split, "{parts:?}");
    assert_eq!(world.complaints(&manifest.id).await, Vec::<String>::new());
}

/// A database and a backup of it, and its manifest as it is stored.
async fn small() -> (World, Manifest, String) {
    let world = World::with("create table public.t (x int); insert into public.t values (1)").await;
    let manifest = world.take().await;
    let path = world.folder_of(&manifest.id).join("manifest.json");
    let text = std::fs::read_to_string(path).expect("read");
    (world, manifest, text)
}

/// What every reader of the manifest says.
async fn unreadable(world: &World, id: &BackupId, bytes: &[u8]) -> String {
    let path = world.folder_of(id).join("manifest.json");
    std::fs::write(path, bytes).expect("written");
    let backup = world.backup();
    let mut said = Vec::new();
    for error in [
        backup.manifest(id).await.expect_err("refused"),
        backup.check(&world.ctx, id).await.expect_err("refused"),
        backup.list_all().await.expect_err("refused"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        said.push(error.chain());
    }
    assert!(said.iter().all(|s| *s == said[0]), "{said:?}");
    assert!(said[0].contains(id.as_str()), "{said:?}");
    let listed = backup.list(&world.ctx).await.expect("the others");
    assert!(listed.iter().all(|b| b.id != *id), "{listed:?}");
    said.remove(0)
}

#[tokio::test]
async fn a_manifest_of_a_newer_version_is_refused() {
    let (world, manifest, text) = small().await;
    let newer = text.replacen("\"format\": 1", "\"format\": 99", 1);
    assert_ne!(newer, text);
    let said = unreadable(&world, &manifest.id, newer.as_bytes()).await;
    assert!(said.contains("format 99"), "{said}");
    // What else a newer version writes need not be understood to say so.
    let said = unreadable(&world, &manifest.id, b"{\"format\": 99, \"new\": {}}").await;
    assert!(said.contains("format 99"), "{said}");
}

#[tokio::test]
async fn a_manifest_that_names_a_path_out_of_its_folder_is_refused() {
    let (world, manifest, _) = small().await;
    for path in ["../../secret", "/etc/passwd", "rows/../../x", "rows\\x"] {
        let mut other = manifest.clone();
        other.tables[0].chunks[0].file = path.to_owned();
        let mut another = manifest.clone();
        another.files[0].file = path.to_owned();
        for other in [other, another] {
            let bytes = other.to_bytes().expect("bytes");
            let said = unreadable(&world, &manifest.id, &bytes).await;
            assert!(said.contains(&format!("{path:?}")), "{said}");
        }
    }
}

#[tokio::test]
async fn the_manifest_of_another_backup_is_refused() {
    let (world, manifest, text) = small().await;
    let other = world.take().await;
    let said = unreadable(&world, &other.id, text.as_bytes()).await;
    assert!(said.contains(manifest.id.as_str()), "{said}");
}

#[tokio::test]
async fn a_manifest_of_absurd_size_is_refused_unread() {
    let (world, manifest, _) = small().await;
    let path = world.folder_of(&manifest.id).join("manifest.json");
    let file = std::fs::OpenOptions::new().write(true).open(path);
    // It takes no room on the disk, and would take all of the memory.
    file.expect("the manifest").set_len(1 << 40).expect("grown");
    let refused = world.backup().check(&world.ctx, &manifest.id).await;
    let refused = refused.expect_err("a terabyte");
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused:?}");
    assert!(
        refused.chain().contains("1099511627776 bytes"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn absurdly_many_tables_of_one_file_are_refused_in_seconds() {
    let (world, manifest, _) = small().await;
    let mut many = manifest.clone();
    let table = many.tables[0].clone();
    for n in 0..100_000 {
        let mut another = table.clone();
        another.table.name = format!("t{n}");
        many.tables.push(another);
    }
    let path = world.folder_of(&manifest.id).join("manifest.json");
    std::fs::write(path, many.to_bytes().expect("bytes")).expect("written");
    let began = std::time::Instant::now();
    let refused = world.backup().manifest(&manifest.id).await;
    let refused = refused.expect_err("each has the same rows");
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused:?}");
    assert!(refused.chain().contains("twice"), "{refused:?}");
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}
