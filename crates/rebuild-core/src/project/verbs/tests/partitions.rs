//! Rebuilds into a schema that divides its tables in other ways.

use super::*;
use crate::postgres::{LocalCluster, Session};
use crate::testing::{client_bin_dir, cluster};

/// An ordinary table, a tree with a partition whose columns stand in another order, a tree whose
/// partitions only the server can tell, one that loses some of its partitions, and tables that are to be attached
/// to another one.
const OLD: &str = "
    create type public.mood as enum ('sad', 'ok', 'happy');
    create table public.events (id int primary key, day date not null, note text);
    create table public.parts (id int, note text) partition by range (id);
    create table public.part_1 partition of public.parts for values from (0) to (100);
    create table public.part_2 (note text, id int);
    alter table public.parts attach partition public.part_2 for values from (100) to (2000);
    create table public.moods (mood public.mood, n int) partition by hash (mood);
    create table public.mood_0 partition of public.moods for values with (modulus 2, remainder 0);
    create table public.mood_1 partition of public.moods for values with (modulus 2, remainder 1);
    create table public.months (month int, n int) partition by list (month);
    create table public.month_1 partition of public.months for values in (1);
    create table public.month_2 partition of public.months for values in (2);
    create table public.month_3 partition of public.months for values in (3);
    create table public.log_2020 (day date, note text);
    create table public.log (note text, day date);
    create table public.log_2019 (day date, note text);";

const NEW: &str = "
    create type public.mood as enum ('ok', 'happy', 'sad');
    create table public.events (id int, day date not null, note text, primary key (id, day))
        partition by range (day);
    create table public.early partition of public.events for values from (minvalue) to ('2026-01-20')
        partition by hash (id);
    create table public.early_0 partition of public.early for values with (modulus 2, remainder 0);
    create table public.early_1 partition of public.early for values with (modulus 2, remainder 1);
    create table public.late partition of public.events for values from ('2026-01-20') to (maxvalue);
    create table public.parts (id int, note text);
    create table public.moods (mood public.mood, n int) partition by hash (mood);
    create table public.feeling_0 partition of public.moods for values with (modulus 3, remainder 0);
    create table public.feeling_1 partition of public.moods for values with (modulus 3, remainder 1);
    create table public.feeling_2 partition of public.moods for values with (modulus 3, remainder 2);
    create table public.months (month int, n int) partition by list (month);
    create table public.month_1 partition of public.months for values in (1);
    create table public.other_months partition of public.months default;
    create table public.log (day date, note text) partition by range (day);
    create table public.log_2019 partition of public.log for values from ('2019-01-01') to ('2020-01-01');
    create table public.log_2020 partition of public.log for values from ('2020-01-01') to ('2021-01-01');
    create table public.log_now partition of public.log default;";

/// Rows that are restored set nothing off, wherever they go in.
const TRIGGERS: &str = "
    create function public.never() returns trigger language plpgsql as
        $$ begin raise exception 'a trigger of % fired', tg_relid::regclass; end $$;
    create trigger never before insert on public.events for each row execute function public.never();
    create trigger never after insert on public.moods for each row execute function public.never();
    create constraint trigger checked after insert on public.parts
        for each row execute function public.never();
    alter table public.moods enable always trigger never;";

const ROWS: &str = "
    insert into public.events select n, '2026-01-01'::date + n % 40, 'event ' || n
      from pg_catalog.generate_series(1, 1000) n;
    insert into public.parts select n, 'part ' || n from pg_catalog.generate_series(0, 1999) n;
    insert into public.moods select (array['sad', 'ok', 'happy', null])[1 + n % 4]::public.mood, n
      from pg_catalog.generate_series(1, 300) n;
    insert into public.months select 1 + n % 3, n from pg_catalog.generate_series(1, 90) n;
    insert into public.log_2019 values ('2019-05-05', 'old');
    insert into public.log_2020 select '2020-01-01'::date + n % 366, 'line ' || n
      from pg_catalog.generate_series(1, 500) n;
    insert into public.log select 'line ' || n, '2021-01-01'::date + n
      from pg_catalog.generate_series(1, 400) n;
    analyze";

const CHECKS: &str = "
    [schema]
    source = \"files\"
    files = [\"schema.sql\"]
    [[verify]]
    kind = \"content\"
    [[verify]]
    kind = \"counts\"";

async fn project(cluster: &LocalCluster, folder: &TempDir) -> Project {
    let server = cluster.endpoint("app");
    let text = format!(
        "version = 1\nstore.url = \"store\"\nbackup.tools = \"{}\"\n\
         target.url = \"postgresql://{}@/app?host={}&port={}\"\n\
         quiesce.end_sessions = true\n{CHECKS}",
        client_bin_dir(cluster).display(),
        server.user,
        cluster.socket_dir().display(),
        server.port
    );
    Project::of_text(&text, folder.path(), &|_| None).await
}

async fn run(cluster: &LocalCluster, database: &str, sql: &str) {
    let session = Session::open(&cluster.endpoint(database), "test").await;
    let session = session.expect("a session");
    session.batch_execute(sql).await.expect("run");
    session.close().await;
}

async fn count(cluster: &LocalCluster, table: &str) -> i64 {
    let session = Session::open(&cluster.endpoint("app"), "test").await;
    let sql = format!("select count(*) from {table}");
    let row = session.expect("a session").query_one(&sql, &[]).await;
    row.expect("a count").get(0)
}

async fn complaints(project: &Project, backup: &BackupId) -> String {
    let verdict = project.verify(Some(backup), true).await.expect("verified");
    verdict.complaints().join("\n")
}

#[tokio::test]
async fn rows_find_their_place_where_tables_are_divided_in_other_ways() {
    let cluster = cluster().await.expect("a server");
    let folder = TempDir::new().expect("a folder");
    run(&cluster, "postgres", "create database app").await;
    run(&cluster, "app", &format!("{OLD}{ROWS}")).await;
    let project = project(&cluster, &folder).await;
    // There, and back again.
    for schema in [NEW, OLD] {
        std::fs::write(folder.path().join("schema.sql"), schema).expect("written");
        let plan = project.plan(true).await.expect("a plan");
        assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
        let lost = plan.losses.iter().find(|l| l.contains("no place"));
        assert_eq!(lost, None);
        let report = project.run(None, None).await.expect("a run");
        assert_eq!(report.ending, Ending::Done, "{report:?}");
        let backup = &project.backups().await.expect("backups")[0].id;
        assert_eq!(complaints(&project, backup).await, "");
        assert_eq!(count(&cluster, "public.log_2020").await, 500);
        for (table, change) in [
            ("events", "set note = 'another' where id = 7"),
            ("parts", "set id = id where id = 150"),
            ("parts", "set note = null where id = 150"),
            ("moods", "set n = 0 where n = 299"),
            ("months", "set n = 0 where n = 89"),
            ("log", "set note = 'another' where note = 'line 7'"),
        ] {
            let change_it = format!(
                "create table public.kept as table public.{table};
                 update public.{table} {change}"
            );
            run(&cluster, "app", &change_it).await;
            let said = complaints(&project, backup).await;
            let named = said.contains(&format!("public.{table}"))
                || (table == "parts" && said.contains("public.part_2"))
                || (table == "months" && said.contains("public.month_3"));
            assert_eq!(
                named,
                !change.starts_with("set id"),
                "{table} {change}: {said}"
            );
            let back = format!(
                "truncate public.{table}; insert into public.{table} table public.kept;
                 drop table public.kept"
            );
            run(&cluster, "app", &back).await;
            assert_eq!(complaints(&project, backup).await, "");
        }
    }
}

#[tokio::test]
async fn no_trigger_fires_wherever_rows_find_their_place() {
    let cluster = cluster().await.expect("a server");
    let folder = TempDir::new().expect("a folder");
    run(&cluster, "postgres", "create database app").await;
    run(&cluster, "postgres", "create database twin").await;
    run(&cluster, "app", &format!("{OLD}{ROWS}")).await;
    run(&cluster, "twin", &format!("{NEW}{TRIGGERS}")).await;
    let schema = format!("{NEW}{TRIGGERS}");
    std::fs::write(folder.path().join("schema.sql"), schema).expect("written");
    let report = project(&cluster, &folder).await.run(None, None).await;
    let report = report.expect("a run");
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let states = async |database: &str| {
        let session = Session::open(&cluster.endpoint(database), "test").await;
        let sql = "select string_agg(concat_ws(' ', tgrelid::regclass, tgname, tgenabled), E'\\n'
                          order by tgrelid::regclass::text, tgname)
                     from pg_trigger where not tgisinternal or tgname = 'never'";
        let row = session.expect("a session").query_one(sql, &[]).await;
        row.expect("triggers").get::<_, String>(0)
    };
    let found = states("app").await;
    assert!(found.contains("public.moods never A"), "{found}");
    assert_eq!(found, states("twin").await);
}

#[tokio::test]
async fn a_table_that_is_gone_differs() {
    let cluster = cluster().await.expect("a server");
    let folder = TempDir::new().expect("a folder");
    run(&cluster, "postgres", "create database app").await;
    run(&cluster, "app", &format!("{OLD}{ROWS}")).await;
    let project = project(&cluster, &folder).await;
    let (backup, _) = project.backup().await.expect("a backup");
    assert_eq!(complaints(&project, &backup.id).await, "");
    run(&cluster, "app", "drop table public.month_2, public.events").await;
    let said = complaints(&project, &backup.id).await;
    for what in [
        "table public.events (1000 rows) is not there",
        "public.months has 60 rows, and the backup 90",
    ] {
        assert!(said.contains(what), "{said}");
    }
    run(&cluster, "app", "drop table public.months").await;
    let said = complaints(&project, &backup.id).await;
    for month in ["month_1", "month_2", "month_3"] {
        let line = format!("table public.{month} (30 rows) is not there");
        assert!(said.contains(&line), "{said}");
    }
}
