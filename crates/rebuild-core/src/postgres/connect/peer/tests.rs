use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::UnixListener;

use super::*;
use crate::postgres::{Environment, Session};

fn folder(mode: u32) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(folder.path(), mode).expect("chmod");
    folder
}

fn endpoint(folder: &TempDir, more: &str) -> Endpoint {
    let text = format!(
        "host={} user=u password=hunter2 {more}",
        folder.path().display()
    );
    let found = Environment::default().endpoint(&text, false);
    found.expect("an endpoint")
}

#[test]
fn in_a_folder_for_all_a_stranger_is_not_taken_for_the_server() {
    let (open, own) = (folder(0o777), folder(0o755));
    let me = rustix::process::geteuid().as_raw();
    let stranger = me + 4711;
    for (folder, more, peer, trusted) in [
        (&own, "", stranger, true),
        (&open, "", stranger, false),
        (&open, "", me, true),
        (&open, "", 0, true),
        (&open, &format!("requirepeer={stranger}"), stranger, true),
        (&own, &format!("requirepeer={stranger}"), me, false),
        (&own, "requirepeer=nobody-of-this-name", me, false),
    ] {
        let endpoint = endpoint(folder, more);
        let checked = check(&endpoint, folder.path(), peer);
        assert_eq!(checked.is_ok(), trusted, "{more} {peer}: {checked:?}");
        if let Err(e) = checked {
            assert_eq!(e.kind(), ErrorKind::Unreachable);
            let advice = e.advice().unwrap_or_default();
            assert!(advice.contains("requirepeer"), "{e:?}");
            assert!(!format!("{e:?}").contains("hunter2"), "{e:?}");
        }
    }
    assert!(open_to_all(Path::new("/nowhere")));
}

#[tokio::test]
async fn nothing_is_said_to_a_process_of_another_user() {
    let folder = folder(0o700);
    let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).expect("a socket");
    let server = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.expect("the end");
        said
    });
    let other = rustix::process::geteuid().as_raw() + 4711;
    let endpoint = endpoint(&folder, &format!("requirepeer={other}"));
    let refused = Session::open(&endpoint, "a test").await.err();
    let refused = refused.expect("somebody else's");
    assert!(refused.chain().contains("listens there"), "{refused:?}");
    assert_eq!(server.await.expect("the server"), Vec::<u8>::new());
}
