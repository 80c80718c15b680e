//! Who may look into a store in a folder.

use std::collections::BTreeSet;

use rustix::fs::Mode;
use tempfile::TempDir;

use super::*;
use crate::environment::Environment;
use crate::store::{Name, Store};

fn name(text: &str) -> Name {
    Name::new(text).expect(text)
}

async fn put(store: &Store, text: &str) {
    let put = store.put_new(&name(text), &b"{}"[..]).await;
    put.expect(text);
}

fn set(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("chmod");
}

/// The mode of every folder and every file below `folder`.
fn modes(folder: &Path, folders: &mut BTreeSet<u32>, files: &mut BTreeSet<u32>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let mode = path.metadata().expect("there").permissions().mode() & 0o777;
        if path.is_dir() {
            folders.insert(mode);
            modes(&path, folders, files);
        } else {
            files.insert(mode);
        }
    }
}

#[tokio::test]
async fn everything_in_a_store_is_its_owners_alone_whatever_the_umask_is() {
    let outside = TempDir::new().expect("a folder");
    // Each test has a process of its own; the mask is put back for those that do not.
    let before = rustix::process::umask(Mode::empty());
    for mask in [0o000, 0o022] {
        rustix::process::umask(Mode::from_raw_mode(mask));
        let folder = outside.path().join(format!("a/store-{mask:o}"));
        let url = format!("file://{}", folder.display());
        let store = Store::open(&url, &Environment::default()).await;
        let store = store.expect("a store");
        put(&store, "runs/r/journal/1.json").await;
        for size in [10, 20 << 20] {
            let mut writer = store.writer(&name(&format!("backups/b/rows/{size}")));
            writer.write(&vec![7; size]).await.expect("written");
            writer.finish().await.expect("finished");
        }
        let part = store.below(&name("rehearsals/r"));
        put(&part, "runs/x").await;
        let (mut folders, mut files) = (BTreeSet::new(), BTreeSet::new());
        let top = folder.parent().expect("its parent");
        modes(top, &mut folders, &mut files);
        let top = top.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(top, 0o700, "made for the store");
        assert_eq!(folders.into_iter().collect::<Vec<_>>(), [0o700], "{mask:o}");
        assert_eq!(files.into_iter().collect::<Vec<_>>(), [0o600], "{mask:o}");
        std::fs::remove_dir_all(outside.path().join("a")).expect("removed");
    }
    rustix::process::umask(before);
}

#[test]
fn a_folder_that_is_not_its_owners_alone_is_no_store() {
    let outside = TempDir::new().expect("a folder");
    let folder = outside.path().join("store");
    prepare(&folder).expect("made");
    for mode in [0o770, 0o707, 0o750, 0o701, 0o722] {
        set(&folder, mode);
        let refused = prepare(&folder).expect_err("open to others");
        assert!(refused.is_refusal(), "{mode:o}: {refused:?}");
        let found = folder.metadata().expect("there").permissions().mode();
        assert_eq!(found & 0o777, mode, "it was refused, and not mended");
    }
    set(&folder, 0o700);
    prepare(&folder).expect("private again");

    let link = outside.path().join("link");
    std::os::unix::fs::symlink(&folder, &link).expect("a link");
    let refused = prepare(&link).expect_err("a link");
    assert!(refused.to_string().contains("symbolic link"), "{refused:?}");
    let file = outside.path().join("file");
    std::fs::write(&file, "").expect("a file");
    let refused = prepare(&file).expect_err("a file");
    assert!(refused.to_string().contains("not a folder"), "{refused:?}");

    let stranger = rustix::process::geteuid().as_raw() + 1;
    let found = std::fs::symlink_metadata(&folder).expect("there");
    check(&folder, &found, stranger - 1).expect("one's own");
    let refused = check(&folder, &found, stranger).expect_err("somebody else's");
    assert!(
        refused.to_string().contains("belongs to user"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_leads_out_of_a_store_is_neither_read_nor_removed() {
    let outside = TempDir::new().expect("a folder");
    let (folder, victim) = (outside.path().join("store"), outside.path().join("victim"));
    std::fs::create_dir(&victim).expect("a folder");
    std::fs::write(victim.join("file"), "precious").expect("a file");
    let url = format!("file://{}", folder.display());
    let store = Store::open(&url, &Environment::default()).await;
    let store = store.expect("a store");
    put(&store, "backups/b/manifest.json").await;
    let at = |text: &str| folder.join("backups/b").join(text);
    std::os::unix::fs::symlink(&victim, at("rows")).expect("a link");
    std::os::unix::fs::symlink(victim.join("file"), at("link")).expect("a link");
    let mode = Mode::from_raw_mode(0o600);
    let (here, fifo) = (rustix::fs::CWD, rustix::fs::FileType::Fifo);
    rustix::fs::mknodat(here, at("pipe"), fifo, mode, 0).expect("a pipe");
    for text in ["rows/file", "link", "pipe"] {
        let name = name(&format!("backups/b/{text}"));
        let refused = [
            store.get(&name).await.map(drop),
            store.stream(&name).await.map(drop),
            store.size(&name).await.map(drop),
            store.delete(&name).await,
            store.put_new(&name, &b"x"[..]).await,
            store.writer(&name).finish().await.map(drop),
        ];
        for refused in refused {
            let e = refused.expect_err(text);
            assert_eq!(e.kind(), ErrorKind::Corrupt, "{text}: {e:?}");
        }
    }
    let kept = std::fs::read_to_string(victim.join("file")).expect("still there");
    assert_eq!(kept, "precious");
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn an_object_of_absurd_size_is_refused_unread() {
    let outside = TempDir::new().expect("a folder");
    let url = format!("file://{}/store", outside.path().display());
    let store = Store::open(&url, &Environment::default()).await;
    let store = store.expect("a store");
    let name = name("backups/b/rows/1");
    put(&store, name.as_str()).await;
    store.get_sized(&name, 2).await.expect("as long as it was");
    let path = store.local_path(&name).expect("a folder");
    let file = std::fs::OpenOptions::new().write(true).open(path);
    // It takes no room on the disk, and would take all of the memory.
    file.expect("the object").set_len(1 << 40).expect("grown");
    for refused in [store.get(&name).await, store.get_sized(&name, 2).await] {
        let e = refused.expect_err("a terabyte");
        assert_eq!(e.kind(), ErrorKind::Corrupt, "{e:?}");
        assert!(e.to_string().contains("1099511627776 bytes"), "{e:?}");
    }
}
