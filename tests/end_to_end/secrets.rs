//! A password in a URL is used, and shows up nowhere.

use std::fs;
use std::path::Path;

use rebuild_core::postgres::Session;
use rebuild_core::testing;

use crate::world::{ASIDE, Target, World};

/// The password, as the server has it and as it stands in a URL.
const PASSWORD: &str = "open/sesame-8841";
const IN_URL: &str = "open%2Fsesame-8841";

#[tokio::test]
async fn no_output_and_no_file_has_the_password() {
    let mut options = testing::cluster_options();
    options.tcp_port = Some(0);
    let world = World::start_with(options).await;
    let target = world.target("app", ASIDE).await;
    let sql = format!("alter role postgres password '{PASSWORD}'");
    world
        .admin()
        .await
        .batch_execute(&sql)
        .await
        .expect("a password");
    let mut nobody = world.cluster().tcp_endpoint("app").expect("a port");
    nobody.password = None;
    Session::open(&nobody, "a test")
        .await
        .err()
        .expect("the server asks for it");
    let server = format!("postgresql://postgres:{IN_URL}@127.0.0.1:{}", nobody.port);
    target.edit_spec("url = \"\"", &format!("url = \"{server}/app\""));

    let (app, twin) = (format!("{server}/app"), format!("{server}/twin"));
    for args in [
        &["plan", "--out", "plan.json"][..],
        &["status"],
        &["run", "--plan", "plan.json"],
        &["runs", "show"],
        &["verify"],
        &["backups", "check"],
        &["rollback"],
        &["backup"],
        &["restore", "--into", "beside"],
        &["copy", &app, &twin],
        &["-f", "mine.toml", "init", &app],
    ] {
        let args = [&["--output", "json"], args].concat();
        silent(&target, &args, 0).await;
    }
    for args in [
        &["status"][..],
        &["plan"],
        &["run"],
        &["runs", "list"],
        &["rollback"],
    ] {
        silent(&target, args, 0).await;
    }

    // And when it is turned away.
    let sql = "alter role postgres password 'another'";
    world
        .admin()
        .await
        .batch_execute(sql)
        .await
        .expect("a password");
    for args in [
        &["plan"][..],
        &["--output", "json", "run"],
        &["copy", &app, &twin],
    ] {
        silent(&target, args, 7).await;
    }

    fs::remove_file(target.spec_file()).expect("the one file that has it");
    let looked_at = search(&target.folder);
    assert!(looked_at > 50, "{looked_at} files");
}

async fn silent(target: &Target<'_>, args: &[&str], code: i32) {
    let run = target.rebuild(args).await.expect(code);
    for text in [&run.stdout, &run.stderr] {
        assert!(!has_password(text.as_bytes()), "{args:?}: {text}");
    }
}

/// Looks at every file in `folder`; returns how many there are.
fn search(folder: &Path) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files += search(&path);
        } else {
            let bytes = fs::read(&path).expect("a file");
            assert!(!has_password(&bytes), "{}", path.display());
            files += 1;
        }
    }
    files
}

fn has_password(bytes: &[u8]) -> bool {
    [PASSWORD, IN_URL]
        .iter()
        .any(|p| bytes.windows(p.len()).any(|w| w == p.as_bytes()))
}
