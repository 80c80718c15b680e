use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

#[test]
fn what_is_kept_free_is_never_more_than_a_plan_leaves() {
    const GIB: u64 = 1 << 30;
    for (free, log, expected) in [
        (100 * GIB, GIB, GIB),
        // A log that may grow further needs more.
        (100 * GIB, 8 * GIB, 8 * GIB),
        (12 * GIB, 8 * GIB, 2 * GIB),
        // On a small disk a part of what there is, and never less than the log takes at once.
        (3 * GIB, GIB, GIB / 2),
        (100 << 20, GIB, LEAST_LEFT),
        (0, GIB, LEAST_LEFT),
    ] {
        assert_eq!(kept(free, log), expected, "{free} free, a log of {log}");
    }
}

fn room(free: FreeSpace) -> Room {
    let disk = |folder: &str| Disk {
        folder: PathBuf::from(folder),
        kept: 100,
    };
    Room {
        free,
        disks: vec![disk("/data"), disk("/log")],
        session: None,
    }
}

#[tokio::test]
async fn a_disk_is_looked_at_again_and_again_while_rows_go_in() {
    let looks = Arc::new(AtomicU64::new(0));
    let counted = looks.clone();
    // The log's disk loses 40 bytes from look to look; the other one cannot be seen any more.
    let free = FreeSpace::told_by(move |folder| {
        let log = folder == Path::new("/log");
        log.then(|| 200 - 40 * counted.fetch_add(1, Ordering::Relaxed))
    });
    let load = std::future::pending::<Result<()>>();
    let ended = room(free).keep(|| "the load".to_owned(), load).await;
    let e = ended.expect_err("no room");
    assert_eq!(looks.load(Ordering::Relaxed), 4);
    let said = e.to_string();
    assert!(
        said.contains("/log has 80 B left, and 100 B are kept"),
        "{said}"
    );
    assert!(
        e.advice()
            .is_some_and(|hint| hint.contains("rebuild purge"))
    );
}

#[tokio::test]
async fn work_is_not_begun_without_room_and_not_disturbed_with_it() {
    let full = FreeSpace::told_by(|_| Some(99));
    let begun = AtomicU64::new(0);
    let work = async { Ok(begun.fetch_add(1, Ordering::Relaxed)) };
    let ended = room(full).keep(|| "the load".to_owned(), work).await;
    ended.expect_err("no room");
    assert_eq!(begun.load(Ordering::Relaxed), 0);
    for free in [Some(100), None] {
        let enough = FreeSpace::told_by(move |_| free);
        let done = room(enough).keep(|| "the load".to_owned(), async { Ok(7) });
        assert_eq!(done.await.expect("done"), 7);
    }
    // A server elsewhere has no disks that can be seen.
    let elsewhere = Room {
        disks: Vec::new(),
        ..room(FreeSpace::told_by(|_| Some(0)))
    };
    let done = elsewhere.keep(|| "the load".to_owned(), async { Ok(7) });
    assert_eq!(done.await.expect("done"), 7);
}

#[test]
fn a_forwarded_port_leads_away_from_this_machine() {
    let env = crate::postgres::Environment::default();
    let endpoint = |text: &str| env.endpoint(text, false).expect("an endpoint");
    let here = endpoint("host=127.0.0.1 user=u");
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str();
    assert_eq!(local_data(&here, data).as_deref(), Some(folder.path()));
    assert_eq!(local_data(&here, None), None);
    assert_eq!(local_data(&here, Some("/is/not/there")), None);
    let forwarded = Endpoint {
        via: Some("pod db-0".to_owned()),
        ..here
    };
    assert_eq!(local_data(&forwarded, data), None);
    let remote = endpoint("host=db.example.org user=u");
    assert_eq!(local_data(&remote, data), None);
}
