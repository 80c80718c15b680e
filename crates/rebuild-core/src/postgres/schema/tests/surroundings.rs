//! What a file finds around it: settings, warnings, names that shadow others, the history.

use super::*;

#[tokio::test]
async fn settings_are_the_servers_and_stay_in_their_file() {
    let bench = Bench::new().await;
    let name = &bench.db.name;
    bench
        .session
        .batch_execute(&format!(
            "create schema app; alter database {name} set search_path = app, public;
             alter database {name} set standard_conforming_strings = off;
             alter database {name} set work_mem = '5MB'"
        ))
        .await
        .expect("settings");
    let asked = "select pg_catalog.current_setting('search_path') as path,
        pg_catalog.current_setting('work_mem') as mem, 'a\\b'::text as slash";
    bench.write("1.sql", &format!("create table one as {asked};\nset search_path = public; set work_mem = '7MB'; create temp table t ();"));
    bench.write(
        "2.sql",
        &format!("create table two as {asked}; create temp table t ();"),
    );
    bench.apply().await.expect("applied");
    for table in ["one", "two"] {
        let found = bench
            .text(&format!(
                "select pg_catalog.concat_ws('|', path, mem, slash) from app.{table}"
            ))
            .await;
        assert_eq!(found, "app, public|5MB|a\\b");
    }
}

#[tokio::test]
async fn what_does_not_bend_a_file_stays_ours_in_it() {
    let bench = Bench::new().await;
    let name = &bench.db.name;
    let set = format!(
        "alter database {name} set synchronous_commit = off;
         alter database {name} set log_error_verbosity = verbose"
    );
    bench.session.batch_execute(&set).await.expect("settings");
    let asked = "select pg_catalog.current_setting(name, true) as setting from (values
        ('synchronous_commit'), ('log_error_verbosity'), ('tcp_keepalives_count')) as asked(name)";
    bench.write("1.sql", &format!("create table public.found as {asked};"));
    bench.apply().await.expect("applied");
    let found = "select pg_catalog.string_agg(setting, '|') from public.found";
    // A socket of the machine itself has no keepalives.
    assert_eq!(bench.text(found).await, "on|terse|0");
    let checks = "pg_catalog.current_setting('client_connection_check_interval', true)";
    bench.write(
        "2.sql",
        &format!("create table public.checks as select {checks} as every;"),
    );
    bench.apply().await.expect("applied");
    let version = bench
        .text("select pg_catalog.current_setting('server_version_num')")
        .await;
    let every = bench
        .text("select coalesce(every, 'none') from public.checks")
        .await;
    let wanted = if version.as_str() < "140000" {
        "none"
    } else {
        "5s"
    };
    assert_eq!(every, wanted);
}

#[tokio::test]
async fn warnings_are_passed_on_and_notices_are_not() {
    let bench = Bench::new().await;
    bench.write(
        "1.sql",
        "select 1;\ndo $$ begin raise warning 'careful'; raise notice 'chat'; end $$;",
    );
    bench.write(
        "2.sql",
        "do $$ begin for n in 1..1000 loop raise warning 'again'; end loop; end $$;",
    );
    bench.apply().await.expect("applied");
    let warnings = bench.notes(Level::Warning);
    assert_eq!(warnings[0], "1.sql:2: careful");
    assert_eq!(warnings.len(), 102);
    assert_eq!(warnings[101], "2.sql:1: more warnings are left out");
}

#[tokio::test]
async fn what_shadows_the_catalog_does_not_reach_the_history() {
    let bench = Bench::new().await;
    // Everything that the history's statements could pick up, if they were not qualified.
    bench.write(
        "1.sql",
        "create function public.clock_timestamp() returns timestamptz language plpgsql as 'begin raise exception ''shadow''; end';
         create function public.shadow(text, text) returns boolean language plpgsql as 'begin raise exception ''shadow''; end';
         create operator public.= (function = public.shadow, leftarg = text, rightarg = text);
         create domain public.int8 as text; create domain public.text as int;
         create table public.pg_roles (); create table public.pg_namespace ();
         create table public.schema_history (); create table pg_temp.schema_history ();
         set search_path = public, pg_catalog;",
    );
    bench.write(
        "2.sql",
        "set search_path = public, pg_catalog; create table a (id integer); vacuum a;",
    );
    let name = &bench.db.name;
    let sql = format!("alter database {name} set search_path = public, pg_catalog");
    bench.session.batch_execute(&sql).await.expect("settings");
    bench.apply().await.expect("applied");
    assert_eq!(bench.history().await.len(), 2);
    assert_eq!(
        bench.apply().await.expect("applied"),
        SchemaApplied::default()
    );
}

#[tokio::test]
async fn a_history_of_somebody_else_is_refused() {
    let bench = Bench::new().await;
    bench.write("1.sql", "create table a ();");
    bench
        .session
        .batch_execute("create role other; create schema rebuild authorization other")
        .await
        .expect("schema");
    let error = bench.fails().await;
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error.to_string().contains("belongs to another role"),
        "{error}"
    );
    let sql = "alter schema rebuild owner to current_user; set role other; reset role;
               create view rebuild.schema_history as select 1";
    bench.session.batch_execute(sql).await.expect("view");
    assert_eq!(bench.fails().await.kind(), ErrorKind::Refused);
    assert!(!bench.there("public.a").await);
}

#[tokio::test]
async fn the_history_of_another_database_says_nothing() {
    let bench = Bench::new().await;
    bench.write("1.sql", "create table if not exists a ();");
    bench.apply().await.expect("applied");
    let sql = "update rebuild.schema_history set database = '1', checksum = 'x'";
    bench.session.batch_execute(sql).await.expect("moved");
    assert_eq!(paths(&bench.apply().await.expect("applied")), ["1.sql"]);
}
