//! `examples/hmpps-refresh`, and what becomes of the same by pg_dump, pg_restore and psql.

use rebuild_core::postgres::{LocalCluster, Session};
use rebuild_core::testing::cluster;

use crate::site::{Readme, Site};

/// The example, prepared as its README says, with production on a server of its own.
async fn prepared() -> (Site, Readme, LocalCluster) {
    let (site, production) = tokio::join!(Site::of_example("hmpps-refresh"), cluster());
    let production = production.expect("a server");
    let host = production.socket_dir().display();
    site.sh(&format!("export HMPPS_PROD_HOST={host}"))
        .await
        .with(0);
    let mut readme = Readme::of(&site);
    readme.prepare(&site).await;
    (site, readme, production)
}

const USERS: &str = "select username, email, caseload from public.app_user u
                       join public.caseload_assignment a on a.user_id = u.id
                      where username like 'QA%'";

#[tokio::test]
async fn production_is_refreshed_into_preproduction_without_its_personal_data() {
    let (site, mut readme, production) = prepared().await;
    let preprod = "hmpps_preprod";
    let old = site.oid(preprod).await;
    let users = site.rows(preprod, USERS).await;
    assert!(users.starts_with("12 rows"), "{users}");

    let plan = readme.run(&site, "rebuild plan").await.with(0);
    for line in [
        "Schema   Flyway at 3 -> Flyway at 2",
        "masked: public.offender.full_name by name",
        "not all rows: public.case_note, where written_on > date '2025-11-01'",
        "outlives the refresh: public.app_user where username like",
        "only in the target, and from then on only in the retired database: table public.load_test with about 5 rows",
        "only in the target, and from then on only in the retired database: column public.app_user.test_note (text)",
        "only in the target, and from then on only in the retired database: view public.qa_user",
        "migrations only in the target: Flyway 3 V3__last_login.sql",
    ] {
        assert!(plan.contains(line), "{line}\n{plan}");
    }

    let run = readme.run(&site, "rebuild run").await;
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_ne!(site.oid(preprod).await, old);
    assert_eq!(
        site.rows(preprod, USERS).await,
        users,
        "its own users are there"
    );
    let state = "select pg_catalog.concat_ws(' ',
        (select max(version) from public.flyway_schema_history),
        (select count(*) from public.app_user), (select count(*) from public.offender),
        (select count(*) from public.case_note), (select sum(notes) from public.notes_per_offender),
        (select email from public.app_user where username = 'USER_7'),
        (select count(*) from public.app_user where last_login is not null),
        (select count(*) from public.offender where full_name like 'Real%'
             or phone like '+44 20 7946%' or noms_number !~ '^[A-Z][0-9]{4}[A-Z]{2}$'),
        pg_catalog.has_table_privilege('preprod_app', 'public.offender', 'select'))";
    let notes = "select count(*)::text from public.case_note where written_on > date '2025-11-01'";
    let session = Session::open(&production.endpoint("hmpps_prod"), "test").await;
    let kept = session.expect("a session").query_one(notes, &[]).await;
    let kept: String = kept.expect("a count").get(0);
    assert_eq!(
        site.text(preprod, state).await,
        format!("3 412 2000 {kept} {kept} someone.else@test.example 12 0 t")
    );

    readme.run(&site, "rebuild rollback").await.with(0);
    assert_eq!(site.oid(preprod).await, old);
    assert_eq!(site.rows(preprod, USERS).await, users);
    readme.end();
}

/// The job as it is written by hand: dump production, save the users, restore over preproduction,
/// put the users back, migrate. Each of its failures is looked for in what it leaves.
#[tokio::test]
async fn the_hand_written_job_fails_in_each_known_way() {
    let (site, _, _production) = prepared().await;
    site.sh("psql -q -d postgres -c 'create database hand template hmpps_preprod'")
        .await
        .with(0);
    site.sh(
        "export HAND=postgresql:///hand
         pg_dump -Fc -f $TMPDIR/prod.dump \"$HMPPS_PROD_URL\"
         psql -q -c \"\\copy (select * from public.app_user where username like 'QA%') to $TMPDIR/users\" $HAND",
    )
    .await
    .with(0);

    // Objects that only preproduction has keep tables from being dropped; the rest is loaded into
    // what is still there.
    let restored = site
        .sh("pg_restore --clean --if-exists -d $HAND $TMPDIR/prod.dump")
        .await;
    assert_eq!(restored.code, 1);
    for complaint in [
        "cannot drop constraint app_user_pkey on table public.app_user because other objects depend",
        "relation \"app_user\" already exists",
        "errors ignored on restore",
    ] {
        assert!(
            restored.stderr.contains(complaint),
            "{complaint}\n{}",
            restored.stderr
        );
    }
    let half = "select pg_catalog.concat_ws(' ', (select count(*) from public.app_user),
                       (select count(*) from public.offender))";
    assert_eq!(
        site.text("hand", half).await,
        "13 2000",
        "half of production is there"
    );
    // Personal data came along.
    let real = "select count(*)::text from public.offender where full_name like 'Real%'";
    assert_eq!(site.text("hand", real).await, "2000");
    // The history says that the newest migration is to be run, and its column is there already.
    let migrated = site.sh("DATABASE_URL=$HAND ./flyway migrate").await;
    assert_ne!(migrated.code, 0);
    assert!(
        migrated
            .stderr
            .contains("column \"last_login\" of relation \"app_user\" already exists")
    );

    // Where everything is dropped first (a newer pg_restore complains of an older server, and goes on), the users do not fit any more.
    site.sh(
        "psql -q -d postgres -c 'drop database hand' -c 'create database hand'
             pg_restore --no-owner -d $HAND $TMPDIR/prod.dump || true",
    )
    .await
    .with(0);
    let back = site
        .sh("psql -q -c \"\\copy public.app_user from $TMPDIR/users\" $HAND")
        .await;
    assert_ne!(back.code, 0);
    assert!(
        back.stderr
            .contains("extra data after last expected column"),
        "{}",
        back.stderr
    );
    let trimmed = "cut -f1-4 $TMPDIR/users >$TMPDIR/trimmed
                   psql -q -c \"\\copy public.app_user from $TMPDIR/trimmed\" $HAND";
    let back = site.sh(trimmed).await;
    assert_ne!(back.code, 0);
    assert!(
        back.stderr.contains("duplicate key value"),
        "{}",
        back.stderr
    );
    let gone = "select count(*)::text from public.app_user where username like 'QA%'";
    assert_eq!(site.text("hand", gone).await, "0", "its own users are lost");
}
