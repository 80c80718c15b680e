//! Restores from CSV files.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::postgres::{ExportFormat, PgCsvRestorer};

impl World {
    /// A folder for CSV files.
    fn folder(&self) -> PathBuf {
        let folder = self._folder.path().join("csv");
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    /// A backup with CSV files, which are exported.
    async fn exported(&self, of: &Identity) -> (BackupId, PathBuf) {
        let id = BackupId::generate();
        let backup = self.backup().with_csv(true);
        let taken = backup.take(&self.ctx, of, &id, BackupMode::Full).await;
        taken.expect("a backup");
        let folder = self.folder();
        let exported = backup
            .export(&self.ctx, &id, &folder, ExportFormat::Csv)
            .await;
        exported.expect("exported");
        (id, folder)
    }

    fn csv_restorer(&self, folder: &Path, own_schema: bool) -> PgCsvRestorer {
        PgCsvRestorer {
            restorer: self.restorer(own_schema),
            folder: folder.to_path_buf(),
        }
    }

    /// A database of this run with the tables of `sql`, a backup of another, and a session.
    async fn tables(&self, sql: &str) -> (BackupId, Identity, Session) {
        let (_, of) = self.source("select 1").await;
        let id = self.take(&of).await;
        let db = self.staged(&of).await;
        let session = self.inside(&db).await;
        let sql = format!("set search_path = public; {sql}; set search_path = ''");
        session.batch_execute(&sql).await.expect("the tables");
        (id, db, session)
    }
}

fn put(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("written");
}

#[tokio::test]
async fn every_value_comes_back_from_exported_files() {
    let world = World::new().await;
    let (of, session) = world.kitchen_sink().await;
    session
        .batch_execute(
            "create table public.odd (n int primary key, \"a,\"\"b\" text, b bytea, l text[]);
             insert into public.odd values
                 (1, null, null, null), (2, '', '', '{}'), (3, '\"', '\\x00ff', '{NULL,\"\",\"x,y\"}'),
                 (4, E'a\\nb\\r\\n,\\\\.', E'\\n', array[E'\\n']), (5, E'\\\\.', '\\x5c2e', '{é表}');
             create table public.one (t text);
             insert into public.one values (null), (''), (E'\\\\.'), (E'\\n\\\\.\\n'), ('x')",
        )
        .await
        .expect("more values");
    session.close().await;
    let before = world.dump(&of).await;
    let (id, folder) = world.exported(&of).await;
    let db = world.staged(&of).await;
    world.apply(&db, &id).await;

    let restorer = world.csv_restorer(&folder, true);
    let report = restorer.restore(&world.ctx, &db, &id).await;
    let report = report.expect("restored");
    let manifest = world.backup().manifest(&id).await.expect("the manifest");
    let rows: u64 = manifest.tables.iter().map(|t| t.rows).sum();
    assert_eq!((report.rows, report.left_out.as_slice()), (rows, &[][..]));
    let again = restorer.restore(&world.ctx, &db, &id).await.expect("again");
    assert_eq!(again, report);
    let finished = restorer.finish(&world.ctx, &db, &id).await;
    finished.expect("finished");
    world.assert_same_rows(&db, &id).await;
    let after = world.dump(&db).await;
    assert!(before == after, "{}", difference(&before, &after));
}

#[tokio::test]
async fn columns_are_matched_by_the_header() {
    let world = World::new().await;
    let (id, db, session) = world
        .tables(
            "create table t (
                 id int generated always as identity primary key, a text,
                 double int generated always as (n * 2) stored, n int, since int default 7);
             create table u (id int, t_id int constraint u_to_t references t (id));
             create table \"Odd Name\" (id int);
             create table seeded (id int);
             insert into t overriding system value values (9, 'a seed', default, 1);
             insert into seeded values (1)",
        )
        .await;
    let folder = world.folder();
    put(
        &folder,
        "public.t.csv",
        "\u{feff}n,\"gone\",id,a\r\n5,x,1,\r\n6,,20,\"\"\r\n",
    );
    let packed = zstd::encode_all(&b"t_id,id\n20,1"[..], 1).expect("packed");
    std::fs::write(folder.join("public.u.csv.zst"), packed).expect("written");
    put(&folder, "00042-public.OddName.csv", "id\n3\n");

    let mut restorer = world.csv_restorer(&folder, false);
    let error = restorer.restore(&world.ctx, &db, &id).await;
    let error = error.expect_err("no place");
    assert_eq!(error.kind(), ErrorKind::Refused);
    let told = "column public.t.gone (1 rows have a value there)";
    assert!(error.to_string().contains(told), "{error}");

    let allowed = ["public.t.gone".to_owned()];
    restorer.restorer.choice.may_drop = TablePatterns::with_columns(&allowed).expect("patterns");
    let outline = restorer.outline(&world.ctx, &db, &id).await;
    let new = outline.expect("outline").new_columns;
    assert_eq!(new, [(TableName::new("public", "t"), "since".to_owned())]);
    let report = restorer.restore(&world.ctx, &db, &id).await;
    let report = report.expect("restored");
    assert_eq!(
        (report.tables, report.rows, report.left_out.len()),
        (3, 4, 1)
    );
    for (sql, expected) in [
        (
            "select string_agg(t::text, ' ' order by id) from public.t",
            "(1,,10,5,7) (20,\"\",12,6,7)",
        ),
        ("select u::text from public.u", "(1,20)"),
        ("select id::text from public.\"Odd Name\"", "3"),
        ("select count(*)::text from public.seeded", "1"),
        ("select nextval('public.t_id_seq')::text", "21"),
        (
            "select count(*)::text from pg_constraint where conname = 'u_to_t' and convalidated",
            "1",
        ),
    ] {
        assert_eq!(text(&session, sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn a_broken_file_is_named_with_its_line() {
    let world = World::new().await;
    let tables = "create table t (id int, a text, b int)";
    let (id, db, session) = world.tables(tables).await;
    let folder = world.folder();
    let restorer = world.csv_restorer(&folder, false);
    // A line break in a value counts as one of the file.
    for (broken, line) in [("3,x", 5), ("3,x,secret", 5), ("3,x,1,2", 5)] {
        let csv = format!("id,a,b\n1,\"x\ny\",1\n2,x,2\n{broken}\n4,x,4\n");
        put(&folder, "public.t.csv", &csv);
        if let Ok(Some(_)) = work::read(&session).await {
            work::drop(&session).await.expect("begun anew");
        }
        let error = restorer.restore(&world.ctx, &db, &id).await;
        let error = error.expect_err("broken").chain();
        let place = format!("public.t.csv, line {line}");
        assert!(error.contains(&place), "{error}");
        let count = "select count(*)::text from public.t";
        assert_eq!(text(&session, count).await, "0");
    }
    // The list of work was made for the last file.
    put(&folder, "public.t.csv", "id,a,b\n");
    let error = restorer.restore(&world.ctx, &db, &id).await;
    let error = error.expect_err("another file");
    assert!(
        error.to_string().contains("public.t.csv was changed"),
        "{error}"
    );
}

#[tokio::test]
async fn sequences_never_fall_behind_the_backup_or_the_rows() {
    let world = World::new().await;
    let then = "create table far (id serial); create table near (id serial);
                select setval('far_id_seq', 900), setval('near_id_seq', 3)";
    let (_, of) = world.source(then).await;
    let (id, folder) = world.exported(&of).await;
    let db = world.staged(&of).await;
    world.apply(&db, &id).await;
    for (list, rows) in [("far", "id\n7\n"), ("near", "id\n70\n")] {
        let files = std::fs::read_dir(&folder).expect("a folder");
        let files = files.map(|f| f.expect("a file").path());
        let of_table = |f: &PathBuf| f.to_string_lossy().contains(&format!("public.{list}."));
        let file = files.into_iter().find(of_table).expect("exported");
        std::fs::remove_file(&file).expect("removed");
        let name = file.file_name().expect("a name").to_string_lossy();
        put(&folder, name.trim_end_matches(".zst"), rows);
    }
    let restorer = world.csv_restorer(&folder, true);
    let restored = restorer.restore(&world.ctx, &db, &id).await;
    assert_eq!(restored.expect("restored").rows, 2);
    let session = world.inside(&db).await;
    let next = "select nextval('public.far_id_seq') || ' ' || nextval('public.near_id_seq')";
    assert_eq!(text(&session, next).await, "901 71");
}

#[tokio::test]
async fn rows_that_a_server_would_leave_out_are_noticed() {
    let world = World::new().await;
    let sql = "create table t (id text); create table unfed (id int) partition by range (id);
               create table unfed_1 partition of unfed for values from (0) to (10);
               create table fed (id int) partition by range (id);
               create table fed_1 partition of fed for values from (0) to (10)";
    let (id, db, _session) = world.tables(sql).await;
    let folder = world.folder();
    put(&folder, "public.t.csv", "id\na\n\\.\nb\n");
    put(&folder, "public.fed_1.csv", "id\n1\n");
    let restorer = world.csv_restorer(&folder, false);
    let error = restorer.restore(&world.ctx, &db, &id).await;
    let error = error.expect_err("a row would be lost").chain();
    assert!(
        error.contains("public.t.csv: line 3 is \\. alone"),
        "{error}"
    );

    let mut world = World::new().await;
    let (id, db, session) = world.tables(sql).await;
    let folder = world.folder();
    put(&folder, "public.t.csv", "id\na\n\"\\.\"\nb\n");
    put(&folder, "public.fed_1.csv", "id\n1\n");
    let restorer = world.csv_restorer(&folder, false);
    let seen = world.told();
    let restored = restorer.restore(&world.ctx, &db, &id).await;
    assert_eq!(restored.expect("restored").rows, 4);
    let rows = "select string_agg(id, ' ' order by id) from public.t";
    assert_eq!(text(&session, rows).await, "\\. a b");
    let told = format!("{:?}", seen.events());
    assert!(told.contains("no CSV file for public.unfed,"), "{told}");
    assert!(!told.contains("no CSV file for public.fed"), "{told}");
}

#[tokio::test]
async fn a_restore_from_files_goes_on_where_it_was_cut() {
    let world = World::new().await;
    let (_, of) = world
        .source(
            "create table a (id int primary key, b text);
             create table c (id int primary key references a (id));
             create table d (id serial, x text);
             insert into a select n, repeat('x', 50) from generate_series(1, 20000) n;
             insert into c select n from generate_series(1, 20000) n;
             insert into d (x) select 'x' from generate_series(1, 20000) n;
             create index on a (b)",
        )
        .await;
    let (id, folder) = world.exported(&of).await;
    let db = world.staged(&of).await;
    world.apply(&db, &id).await;
    let restorer = world.csv_restorer(&folder, true);
    let report = super::cut::restored_in_cuts(&world, &restorer, &db, &id).await;
    assert_eq!(report.rows, 60000);
    let finished = restorer.finish(&world.ctx, &db, &id).await;
    finished.expect("finished");
    world.assert_same_rows(&db, &id).await;
    assert_eq!(world.dump(&of).await, world.dump(&db).await);
}

#[tokio::test]
async fn what_does_not_belong_in_the_folder_is_refused() {
    let world = World::new().await;
    let (id, db, _session) = world
        .tables(
            "create table t (id int); create table \"T-1\" (id int); create table \"T1\" (id int)",
        )
        .await;
    let outside = world._folder.path().join("outside.csv");
    std::fs::write(&outside, "id\n1\n").expect("written");
    let list = |file: &str| format!("{{\"{file}\": {{\"schema\": \"public\", \"name\": \"t\"}}}}");
    let many: &[&[(&str, &str)]] = &[
        &[("public.nothing.csv", "id\n1\n2\n")],
        &[("public.t.csv", "id,id\n")],
        &[("public.t.csv", "id,\n")],
        &[("public.t.csv", "")],
        &[("public.t.csv", "id\n"), ("public.t.csv.zst", "x")],
        &[("public.t.csv.gz", "id\n")],
        &[("t.csv", "id\n")],
        &[("00001-public.T1.csv", "id\n")],
        &[("tables.json", &list("../outside"))],
        &[
            ("x.csv", "id\n"),
            ("public.t.csv", "id\n"),
            ("tables.json", &list("x")),
        ],
        &[("public.t.csv", "id\n"), (".unfinished", "")],
    ];
    let told = [
        "table public.nothing (2 rows)",
        "has the column \"id\" twice",
        "has a column without a name",
        "public.t.csv cannot be used",
        "is of the same table as public.t.csv",
        "is neither .csv nor .csv.zst",
        "which table t.csv is of",
        "may be of any of these tables: public.T-1, public.T1",
        "names ../outside, and there is no",
        "public.t.csv and x.csv are both of table public.t",
        "an export into this folder was cut off",
    ];
    assert_eq!(many.len(), told.len());
    for (files, told) in many.iter().zip(told) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in *files {
            put(folder.path(), name, text);
        }
        let restorer = world.csv_restorer(folder.path(), false);
        let error = restorer.restore(&world.ctx, &db, &id).await;
        let error = error.expect_err(told);
        let text = error.chain();
        assert!(text.contains(told), "{text}");
        assert_eq!(error.kind(), ErrorKind::Refused, "{text}");
    }
    let folder = world.folder();
    symlink(&outside, folder.join("public.t.csv")).expect("linked");
    let error = PgCsvRestorer::check_folder(&folder).await;
    let error = error.expect_err("a link");
    assert!(error.to_string().contains("is not a plain file"), "{error}");
    let missing = PgCsvRestorer::check_folder(&folder.join("nothing")).await;
    assert!(missing.expect_err("no folder").is_refusal());
}
