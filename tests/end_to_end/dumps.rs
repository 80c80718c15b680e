//! Dumps of pg_dump, restored beside the target.

use std::path::Path;

use rebuild_core::model::Host;
use rebuild_core::testing;

use crate::world::{ASIDE, State, Target, World};

/// Dumps the target into `path`.
fn dump(target: &Target<'_>, path: &Path, form: &str) {
    let at = target.endpoint();
    let Host::Socket(socket) = &at.host else {
        panic!("the endpoint is a socket");
    };
    let program = testing::client_bin_dir(target.world.cluster()).join("pg_dump");
    let run = std::process::Command::new(program)
        .args([form, "--username", &at.user, "--port", &at.port.to_string()])
        .arg("--host")
        .arg(socket)
        .arg("--file")
        .arg(path)
        .arg(&at.database)
        .output()
        .expect("pg_dump");
    assert!(run.status.success(), "{run:?}");
}

#[tokio::test]
async fn a_dump_becomes_a_database_beside_the_target() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    target
        .sql("create role cloudsqlsuperuser; grant select on public.person to cloudsqlsuperuser")
        .await;
    let (archive, file) = (
        target.folder.join("app.dump"),
        target.folder.join("app.sql"),
    );
    dump(&target, &archive, "-Fc");
    dump(&target, &file, "-Fp");
    target
        .sql("revoke all on public.person from cloudsqlsuperuser")
        .await;
    let old = State::of(&target).await;

    // The server is the superuser's.
    let args = ["restore", "--from", "app.dump", "--into", "beside"];
    let run = target.rebuild(&args).await.expect(3);
    assert!(run.stderr.contains("--trust"), "{}", run.stderr);
    assert_eq!(target.oid_of("beside").await, None);

    for from in ["app.dump", "app.sql"] {
        let args = ["restore", "--trust", "--from", from, "--into", "beside"];
        let run = target.rebuild(&args).await.expect(0);
        assert!(run.stdout.contains("ok    rows"), "{}", run.stdout);
        assert!(
            run.stdout.contains("cloudsqlsuperuser: 1 statement"),
            "{}",
            run.stdout
        );
        let restored = State::of_database(&world, "beside").await;
        restored.expect(&old, &format!("after the restore of {from}"));
        world
            .admin()
            .await
            .batch_execute("drop database beside")
            .await
            .expect("dropped");
    }
}

#[tokio::test]
async fn the_roles_of_a_dump_get_other_names_or_are_left_out() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    let roles = "create role cloudsqlsuperuser; create role auditor; create role leaver;
                 grant select on public.person to cloudsqlsuperuser, leaver";
    target.sql(roles).await;
    dump(&target, &target.folder.join("app.dump"), "-Fc");
    let args = "restore --trust --from app.dump --into beside --role cloudsqlsuperuser=auditor --drop-role leaver";
    let args: Vec<&str> = args.split(' ').collect();
    let run = target.rebuild(&args).await.expect(0);
    assert!(run.stdout.contains("leaver: 1 statement"), "{}", run.stdout);
    let granted = "select string_agg(grantee::regrole::text, ' ')
                     from pg_class c, aclexplode(c.relacl)
                    where c.oid = 'public.person'::regclass and grantee <> c.relowner";
    let beside = world.session("beside").await;
    let row = beside.query_one(granted, &[]).await.expect("a row");
    assert_eq!(row.get::<_, &str>(0), "auditor");
}

#[tokio::test]
async fn nothing_is_left_of_a_dump_that_fails() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    let file = target.folder.join("app.sql");
    dump(&target, &file, "-Fp");
    let whole = std::fs::read(&file).expect("a dump");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("half a dump");
    let args = [
        "restore", "--trust", "--from", "app.sql", "--into", "beside",
    ];
    let run = target.rebuild(&args).await;
    assert!(run.code().is_some_and(|code| code != 0), "{run:?}");
    assert!(run.stderr.contains("cut short"), "{}", run.stderr);
    world.settle().await;
    assert_eq!(world.databases().await, ["app"]);
    std::fs::write(&file, whole).expect("the dump");
    target.rebuild(&args).await.expect(0);
}
