//! CSV that is made of rows.

use std::collections::BTreeMap;

use super::*;

/// The lines of each file in `folder`, sorted; a value with a line break in it is in several.
fn csv_files(folder: &Path) -> BTreeMap<String, Vec<Vec<u8>>> {
    let files = std::fs::read_dir(folder).expect("a folder");
    files
        .map(|file| {
            let file = file.expect("a file");
            let name = file.file_name().into_string().expect("a name");
            let text = std::fs::read(file.path()).expect("read");
            let mut lines: Vec<Vec<u8>> = text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            lines.sort();
            (name, lines)
        })
        .collect()
}

#[tokio::test]
async fn csv_made_of_rows_is_what_the_server_would_have_written() {
    let world = World::kitchen_sink().await;
    let with = world.take_with(&world.backup().with_csv(true)).await;
    let without = world.take().await;
    assert!(without.tables.iter().all(|table| table.csv.is_none()));
    let folder = |name: &str| world.store_folder.path().join(name);
    let (theirs, ours) = (folder("theirs"), folder("ours"));
    world
        .export(&with, &theirs, ExportFormat::Csv)
        .await
        .expect("exported");
    let written = world.export(&without, &ours, ExportFormat::Csv).await;
    assert_eq!(written.expect("exported").len(), without.tables.len());
    let (theirs, ours) = (csv_files(&theirs), csv_files(&ours));
    assert_eq!(theirs.len(), with.tables.len() + 1);
    assert!(theirs.keys().eq(ours.keys()));
    for (name, lines) in &theirs {
        let differs = lines.iter().zip(&ours[name]).find(|(a, b)| a != b);
        let shown = differs.map(|(a, b)| [a, b].map(|line| String::from_utf8_lossy(line)));
        assert_eq!(shown, None, "{name}: the server's, then ours");
        assert_eq!(lines.len(), ours[name].len(), "{name}");
    }
}

#[tokio::test]
async fn csv_is_utf8_or_refused() {
    let world = World::empty().await;
    for (name, encoding) in [("latin", "LATIN1"), ("japanese", "EUC_JP")] {
        let create = format!(
            "create database {name} template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'"
        );
        run(&world.endpoint, &create).await;
    }
    let latin = world.beside("latin").await;
    latin
        .run(
            "create table public.\"café\" (\"ü\" text, p point);
             insert into public.\"café\" values ('äÿ', null), ('a', '(1,2)')",
        )
        .await;
    let folder = world.store_folder.path().join("latin");
    let written = latin
        .export(&latin.take().await, &folder, ExportFormat::Csv)
        .await;
    let text = std::fs::read_to_string(&written.expect("exported")[0]).expect("UTF-8");
    assert_eq!(text, "ü,p\näÿ,\na,\"(1,2)\"\n");

    let japanese = world.beside("japanese").await;
    japanese
        .run("create table public.\"表\" (t text); insert into public.\"表\" values ('a')")
        .await;
    let folder = world.store_folder.path().join("ascii");
    let written = japanese
        .export(&japanese.take().await, &folder, ExportFormat::Csv)
        .await;
    assert_eq!(written.expect("ASCII alone").len(), 1);
    japanese
        .run("insert into public.\"表\" values ('語')")
        .await;
    let folder = world.store_folder.path().join("japanese");
    let refused = japanese
        .export(&japanese.take().await, &folder, ExportFormat::Csv)
        .await;
    let refused = refused.expect_err("not known here");
    assert!(
        refused.is_refusal() && refused.chain().contains("EUC_JP"),
        "{refused:?}"
    );
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0);
}
