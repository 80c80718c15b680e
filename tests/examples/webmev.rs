//! `examples/webmev`, in a Google Cloud inside this process.

use std::os::unix::fs::PermissionsExt;

use rebuild_core::testing::programs_of;

use crate::site::{Readme, Site};
use crate::webmev_cloud::Cloud;

/// The example, prepared as its README says, in a project of its own.
async fn prepared() -> (Site, Readme, Cloud) {
    let site = Site::of_example("webmev").await;
    let cloud = Cloud::start().await.expect("a project");
    let exports = cloud.exports().expect("credentials");
    let path = format!(
        "export CHECKPOINT_DISABLE=1 PATH={}:$PATH",
        programs_of("terraform").display()
    );
    site.sh(&format!("{exports}\n{path}")).await.with(0);
    let mut readme = Readme::of(&site);
    readme.prepare(&site).await;
    (site, readme, cloud)
}

async fn psql(site: &Site, sql: &str) -> String {
    let asked = format!("psql -XAtd webmev <<'SQL'\n{sql}\nSQL\n");
    site.sh(&asked).await.with(0).trim_end().to_owned()
}

const SERVER: &str = "select system_identifier from pg_control_system()";
const ROWS: &str =
    "select count(*) || ' ' || md5(string_agg(concat(id, workspace_id, parameters, submitted),
                           '' order by id)) from analysis";
const MIGRATIONS: &str = "select string_agg(name, ' ' order by name) from django_migrations";

/// What the API says of the instance.
fn tier(cloud: &Cloud) -> String {
    let made = cloud.google.calls("sql.instances.insert");
    let last = made.last().expect("one was made").body.clone();
    last["settings"]["tier"]
        .as_str()
        .expect("a tier")
        .to_owned()
}

#[track_caller]
fn says(text: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[tokio::test]
async fn the_whole_procedure_from_start_to_rollback() {
    let (site, mut readme, cloud) = prepared().await;
    let (old, rows) = (psql(&site, SERVER).await, psql(&site, ROWS).await);
    assert!(rows.starts_with("3000 "), "{rows}");

    let plan = readme.run(&site, "rebuild plan").await.with(0);
    says(
        &plan,
        &[
            "in place: the old instance is deleted first, and kept as a backup of the service",
            "replace terraform_data.instance",
            "wait for the new instance webmev:europe-west1:main, and make database \"webmev\" in it",
            "the protection against deletion is taken off instance webmev:europe-west1:main",
            "if the backup cannot be restored, load the export that was taken with it",
        ],
    );
    assert!(cloud.google.calls("sql.instances.delete").is_empty());
    let untyped = site.sh("rebuild run").await;
    assert_eq!(untyped.code, 3, "{}", untyped.stderr);

    let run = readme.run(&site, "rebuild run --confirm webmev").await;
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    says(
        &run.stdout,
        &["the old instance webmev:europe-west1:main is kept as a backup of the service"],
    );
    says(
        &run.stderr,
        &[
            "instance main is there, as db-custom-4-15360",
            "0002_state is applied to webmev",
        ],
    );
    let new = psql(&site, SERVER).await;
    assert_ne!(new, old);
    assert_eq!(psql(&site, ROWS).await, rows);
    assert_eq!(psql(&site, MIGRATIONS).await, "0001_initial 0002_state");
    assert_eq!(tier(&cloud), "db-custom-4-15360");
    // The application gets in with its own user.
    let app = |sql: &str| {
        format!("PGUSER=webmev PGPASSWORD=$WEBMEV_PASSWORD psql -qXAtd webmev -c \"{sql}\"")
    };
    let seen = app("select count(*) from workspace");
    assert_eq!(site.sh(&seen).await.with(0), "40\n");
    for method in [
        "sql.backupRuns.insert",
        "sql.instances.export",
        "sql.Backups.CreateBackup",
    ] {
        assert_eq!(cloud.google.calls(method).len(), 1, "{method}");
    }
    readme.run(&site, "rebuild runs show").await.with(0);

    let back = readme.run(&site, "rebuild rollback --confirm webmev").await;
    says(
        &back.with(0),
        &["the new instance was in service, and is kept as a backup of the service"],
    );
    assert_eq!(psql(&site, SERVER).await, old);
    assert_eq!(psql(&site, ROWS).await, rows);
    assert_eq!(psql(&site, MIGRATIONS).await, "0001_initial");
    // Users and passwords are back as well, and they may write.
    let written = app("insert into workspace (name) values ('new') returning id");
    assert_eq!(site.sh(&written).await.with(0), "41\n");
    cloud.google.assert_clean();
    readme.end();
}

#[tokio::test]
async fn a_rehearsal_migrates_a_copy_in_the_instance_that_is_there() {
    let (site, _, cloud) = prepared().await;
    let (server, rows) = (psql(&site, SERVER).await, psql(&site, ROWS).await);

    let rehearsal = site.sh("rebuild run --rehearse spring").await;
    assert_eq!(
        rehearsal.code, 0,
        "{}{}",
        rehearsal.stdout, rehearsal.stderr
    );
    says(
        &rehearsal.stdout,
        &[
            "rehearsal spring went through after ",
            "target.cloudsql.export",
            "restore.fallback: there is no export to fall back on",
            "target.cloudsql.replace: the server stays",
            "infrastructure \"stack\" (terraform): the new server is made by it",
            "after \"smoke\"",
        ],
    );
    let migrated = "0002_state is applied to webmev_rehearsal_spring";
    says(&rehearsal.stderr, &[migrated]);

    assert_eq!(psql(&site, SERVER).await, server);
    assert_eq!(psql(&site, ROWS).await, rows);
    assert_eq!(psql(&site, MIGRATIONS).await, "0001_initial");
    let databases =
        "select string_agg(datname, ' ') from pg_database where datname ~ 'webmev|rebuild'";
    assert_eq!(psql(&site, databases).await, "webmev");
    for method in [
        "sql.backupRuns.insert",
        "sql.instances.export",
        "sql.Backups.CreateBackup",
        "sql.instances.delete",
        "sql.instances.patch",
    ] {
        assert!(cloud.google.calls(method).is_empty(), "{method}");
    }
    cloud.google.assert_clean();
}

/// In the place of terraform: damages the rows in the store before it lets terraform apply.
const DAMAGE: &str = r#"#!/bin/sh
case " $* " in *" apply "*)
  find "${WEBMEV_STORE#file://}/backups" -path '*/rows/*' -type f -exec sh -c 'echo damaged >"$1"' _ {} \; ;;
esac
exec "$REAL_TERRAFORM" "$@"
"#;

#[tokio::test]
async fn a_backup_that_does_not_go_in_gives_way_to_the_export() {
    let (site, _, cloud) = prepared().await;
    let (old, rows) = (psql(&site, SERVER).await, psql(&site, ROWS).await);
    let folder = site.scratch().join("bin");
    std::fs::create_dir(&folder).expect("a folder");
    let program = folder.join("terraform");
    std::fs::write(&program, DAMAGE).expect("written");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("it may be run");
    let path = format!(
        "export REAL_TERRAFORM=$(command -v terraform)\nexport PATH={}:$PATH",
        folder.display()
    );
    site.sh(&path).await.with(0);

    let run = site.sh("rebuild run --confirm webmev").await;
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    says(
        &run.stderr,
        &["the restore of the backup failed, and the export that was taken with it is loaded"],
    );
    assert_ne!(psql(&site, SERVER).await, old);
    assert_eq!(psql(&site, ROWS).await, rows);
    assert_eq!(psql(&site, MIGRATIONS).await, "0001_initial 0002_state");
    cloud.google.assert_clean();
}
