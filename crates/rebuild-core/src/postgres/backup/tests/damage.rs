use std::path::{Path, PathBuf};

use super::*;
use crate::error::ErrorKind;

/// A database of every kind of thing, small, and a backup of it with CSV files.
async fn taken() -> (World, Manifest) {
    let world = World::with(
        "create table public.a (id int, x text);
         insert into public.a select i, pg_catalog.md5(i::text) from pg_catalog.generate_series(1, 30000) i;
         create table public.b (p point); insert into public.b values ('(1,2)'), ('(3,4)');
         create sequence public.s; create materialized view public.m as select * from public.b;
         select pg_catalog.lo_from_bytea(77, 'abcdef')",
    )
    .await;
    let backup = world.backup().with_csv(true);
    let manifest = world.take_with(&backup).await;
    assert_eq!(world.complaints(&manifest.id).await, Vec::<String>::new());
    (world, manifest)
}

fn files(manifest: &Manifest) -> Vec<String> {
    let files: Vec<String> = manifest
        .expected_files()
        .map(|(file, ..)| file.to_owned())
        .collect();
    assert!(files.len() > 12, "{files:?}");
    files
}

/// Changes one file, looks at what the check says of it, and changes it back.
async fn mutilate(
    world: &World,
    manifest: &Manifest,
    file: &str,
    change: impl FnOnce(&Path, Vec<u8>),
) -> Vec<String> {
    let path: PathBuf = world.folder_of(&manifest.id).join(file);
    let before = std::fs::read(&path).expect("read");
    change(&path, before.clone());
    let complaints = world.complaints(&manifest.id).await;
    std::fs::write(&path, before).expect("written back");
    complaints
}

#[tokio::test]
async fn a_flipped_byte_in_any_file_is_found_by_name() {
    let (world, manifest) = taken().await;
    for file in files(&manifest) {
        let complaints = mutilate(&world, &manifest, &file, |path, mut bytes| {
            let at = bytes.len() / 2;
            bytes[at] ^= 0x40;
            std::fs::write(path, bytes).expect("written");
        })
        .await;
        assert!(
            complaints.iter().any(|c| c.contains(&file)),
            "{file}: {complaints:?}"
        );
    }
    assert_eq!(world.complaints(&manifest.id).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_truncated_missing_or_longer_file_is_found_by_name() {
    let (world, manifest) = taken().await;
    for file in files(&manifest) {
        for damage in ["truncated", "missing", "longer", "empty"] {
            let complaints = mutilate(&world, &manifest, &file, |path, mut bytes| {
                match damage {
                    "truncated" => bytes.truncate(bytes.len() - 1),
                    "empty" => bytes.clear(),
                    "longer" => bytes.push(0),
                    _ => return std::fs::remove_file(path).expect("removed"),
                }
                std::fs::write(path, bytes).expect("written");
            })
            .await;
            assert!(
                complaints.iter().any(|c| c.contains(&file)),
                "{damage} {file}: {complaints:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_script_that_does_not_end_is_found_though_its_checksum_fits() {
    let (world, manifest) = taken().await;
    let folder = world.folder_of(&manifest.id);
    for script in ["pre-data.sql", "post-data.sql"] {
        let whole = std::fs::read(folder.join(script)).expect("read");
        let cut = [&whole[..], b"\ncreate function f() as $$ begin"].concat();
        let mut other = manifest.clone();
        for entry in other.files.iter_mut().filter(|e| e.file == script) {
            entry.stored_bytes = cut.len() as u64;
            entry.blake3 = blake3::hash(&cut).to_hex().to_string();
        }
        std::fs::write(folder.join(script), &cut).expect("written");
        let bytes = other.to_bytes().expect("a manifest");
        std::fs::write(folder.join("manifest.json"), bytes).expect("written");
        let complaints = world.complaints(&manifest.id).await;
        assert!(
            complaints.len() == 1 && complaints[0].contains(script),
            "{complaints:?}"
        );
        std::fs::write(folder.join(script), whole).expect("written back");
    }
}

#[tokio::test]
async fn swapped_chunks_and_strangers_are_found_by_name() {
    let (world, manifest) = taken().await;
    let folder = world.folder_of(&manifest.id);
    let (one, two) = (&manifest.tables[0].chunks[0], &manifest.tables[0].chunks[1]);
    let swap = || {
        let [a, b] = [one, two].map(|c| folder.join(&c.file));
        let held = folder.join("held");
        for (from, to) in [(&a, &held), (&b, &a), (&held, &b)] {
            std::fs::rename(from, to).expect("renamed");
        }
    };
    swap();
    let complaints = world.complaints(&manifest.id).await.join("\n");
    assert!(complaints.contains(&one.file) && complaints.contains(&two.file));
    swap();

    for stranger in ["rows/00000-00000-00099.copy.zst", "notes.txt", "a name"] {
        let path = folder.join(stranger);
        std::fs::write(&path, b"x").expect("written");
        let complaints = world.complaints(&manifest.id).await.join("\n");
        assert!(complaints.contains(stranger), "{complaints}");
        std::fs::remove_file(path).expect("removed");
    }
    assert_eq!(world.complaints(&manifest.id).await, Vec::<String>::new());
}

#[tokio::test]
async fn rows_that_are_not_those_of_the_manifest_are_found_though_every_checksum_fits() {
    let (world, manifest) = taken().await;
    let folder = world.folder_of(&manifest.id);
    let mut other = manifest.clone();
    other.tables[0].hash.add_row(1);
    other.tables[1].rows += 1;
    other.large_objects.bytes += 1;
    other.catalog_tables += 1;
    std::fs::write(
        folder.join("manifest.json"),
        other.to_bytes().expect("bytes"),
    )
    .expect("written");
    let complaints = world.complaints(&manifest.id).await.join("\n");
    for what in [
        "the rows of table public.a add up to",
        "table public.b has 2 rows",
        "large",
        "the catalog counted",
    ] {
        assert!(complaints.contains(what), "{complaints}");
    }
}

#[tokio::test]
async fn a_damaged_manifest_is_an_error_for_nothing_is_known_without_it() {
    let (world, manifest) = taken().await;
    let path = world.folder_of(&manifest.id).join("manifest.json");
    let good = std::fs::read(&path).expect("read");
    for at in (0..good.len()).step_by(good.len() / 40) {
        let mut bad = good.clone();
        bad[at] ^= 0x01;
        for bytes in [&bad[..], &good[..at]] {
            std::fs::write(&path, bytes).expect("written");
            let error = world
                .backup()
                .check(&world.ctx, &manifest.id)
                .await
                .expect_err("damaged");
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
            assert!(error.chain().contains("manifest"), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_backup_without_rows_of_a_database_with_rows_is_not_plausible() {
    let world = World::with(
        "create table public.t (x int); insert into public.t select pg_catalog.generate_series(1, 100);
         analyze public.t; delete from public.t",
    )
    .await;
    let manifest = world.take().await;
    let complaints = world.complaints(&manifest.id).await.join("\n");
    assert!(
        complaints.starts_with("plausibility: it holds no row at all"),
        "{complaints}"
    );
    world.run("analyze public.t").await;
    let manifest = world.take().await;
    assert_eq!(world.complaints(&manifest.id).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_export_that_fails_leaves_no_file() {
    let (world, manifest) = taken().await;
    let csv: Vec<&String> = manifest
        .tables
        .iter()
        .filter_map(|t| t.csv.as_ref())
        .collect();
    let last = world
        .folder_of(&manifest.id)
        .join(csv.last().expect("a file"));
    let whole = std::fs::read(&last).expect("read");
    let mut damaged = whole.clone();
    let at = damaged.len() / 2;
    damaged[at] ^= 0x40;
    std::fs::write(&last, damaged).expect("written");
    let parent = tempfile::TempDir::new().expect("a folder");
    let folder = parent.path().join("csv");
    let backup = world.backup();
    let export = || backup.export(&world.ctx, &manifest.id, &folder, ExportFormat::Csv);
    let files = || std::fs::read_dir(&folder).expect("a folder").count();
    export().await.expect_err("damaged");
    assert_eq!(files(), 0);
    std::fs::write(&last, whole).expect("written back");
    let written = export().await.expect("exported");
    assert_eq!((written.len(), files()), (csv.len(), csv.len() + 1));
}
