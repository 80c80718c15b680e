//! The suite of [`Store`].

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};

use super::claim::{claim, done, failed, refused, same};
use crate::store::{Name, Store};

/// More than a server lists in one answer.
const MANY: usize = 1050;

/// More than two parts of an upload.
const LARGE: usize = 20 << 20;

/// Holds what is behind a [`Store`] to its contract.
///
/// `open` is called for a store on a new, empty place as often as the suite needs one.
///
/// # Panics
/// The contract is broken; the message names the rule.
pub async fn store(open: impl AsyncFn() -> Store) {
    what_is_written_is_read(&open().await).await;
    nothing_is_written_over(&open().await).await;
    one_of_several_writers_wins(&open().await).await;
    large_objects_are_whole_or_absent(&open().await).await;
    names_are_listed_by_folder(&open().await).await;
    many_objects_are_all_listed(&open().await).await;
    let empty = open().await;
    done("check_exclusive", empty.check_exclusive().await);
    let left = done("list", empty.list(&name("probes")).await);
    claim("check_exclusive leaves nothing behind", left.is_empty());
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a sound name")
}

async fn read(store: &Store, object: &Name) -> Vec<u8> {
    let pieces = done("stream", store.stream(object).await);
    let pieces: Vec<Bytes> = done("each piece of a stream", pieces.try_collect().await);
    pieces.concat()
}

async fn what_is_written_is_read(store: &Store) {
    let object = name("runs/run-1/journal/00000001.json");
    same(
        "size of what was never written",
        &done("size", store.size(&object).await),
        &None,
    );
    failed("get of what was never written", store.get(&object).await);
    claim(
        "stream of what was never written must not succeed",
        store.stream(&object).await.is_err(),
    );
    done(
        "delete of what was never written",
        store.delete(&object).await,
    );
    for bytes in [&b"{}\n"[..], b"", &[0, 255, b'\r', b'\n', 0]] {
        done("put_new", store.put_new(&object, bytes).await);
        let got = done("get", store.get(&object).await);
        same("get has what was written", &&got[..], &bytes);
        same("stream has it", &&read(store, &object).await[..], &bytes);
        let size = done("size", store.size(&object).await);
        same("size is its length", &size, &Some(bytes.len() as u64));
        for _ in 0..2 {
            done("delete", store.delete(&object).await);
        }
        failed("get of what was removed", store.get(&object).await);
    }
}

async fn nothing_is_written_over(store: &Store) {
    let object = name("backups/b/manifest.json");
    done("put_new", store.put_new(&object, &b"first"[..]).await);
    for bytes in [&b"second"[..], b"first"] {
        refused(
            "put_new over an object, whatever its bytes",
            store.put_new(&object, bytes).await,
        );
    }
    let got = done("get", store.get(&object).await);
    same("the first write stays", &&got[..], &&b"first"[..]);
}

async fn one_of_several_writers_wins(store: &Store) {
    for round in 0..5 {
        let object = name(&format!("runs/race/{round}"));
        let writes = (0..8).map(|n| {
            let bytes = format!("writer {n}").into_bytes();
            let object = &object;
            async move { (store.put_new(object, bytes.clone()).await, bytes) }
        });
        let ended = futures::future::join_all(writes).await;
        let mut winners = Vec::new();
        for (result, bytes) in ended {
            match result {
                Ok(()) => winners.push(bytes),
                Err(e) => claim(
                    &format!("the others are refused, not: {e:?}"),
                    e.is_refusal(),
                ),
            }
        }
        same("writers that won", &winners.len(), &1);
        let got = done("get", store.get(&object).await);
        same("what the winner wrote is there", &got.to_vec(), &winners[0]);
    }
}

async fn large_objects_are_whole_or_absent(store: &Store) {
    let bytes: Vec<u8> = (0..LARGE).map(|n| (n % 251).to_le_bytes()[0]).collect();
    for length in [0, 1, 8 << 20, LARGE] {
        let object = name(&format!("backups/b/{length}"));
        let mut writer = store.writer(&object);
        for piece in bytes[..length].chunks(999_983) {
            done("write", writer.write(piece).await);
        }
        same(
            "an object that is not finished is not there",
            &done("size", store.size(&object).await),
            &None,
        );
        let size = done("finish", writer.finish().await);
        same("finish tells the size", &size, &(length as u64));
        claim(
            &format!("{length} bytes come back"),
            read(store, &object).await == bytes[..length],
        );
    }
    for aborted in [false, true] {
        let object = name(&format!("backups/unfinished/{aborted}"));
        let mut writer = store.writer(&object);
        done("write", writer.write(&bytes).await);
        if aborted {
            done("abort", writer.abort().await);
        } else {
            drop(writer);
        }
        same(
            "an object that was given up is not there",
            &done("size", store.size(&object).await),
            &None,
        );
    }
    let left = done("list", store.list(&name("backups/unfinished")).await);
    claim("nothing is listed of what was given up", left.is_empty());
}

async fn names_are_listed_by_folder(store: &Store) {
    for object in ["a/2", "a/1", "a/b/3", "ab/4", "a.b/5"] {
        done("put_new", store.put_new(&name(object), &b"x"[..]).await);
    }
    let listed = done("list", store.list(&name("a")).await);
    let names: Vec<&str> = listed.iter().map(|s| s.name.as_str()).collect();
    same(
        "list is by folder and sorted",
        &names,
        &vec!["a/1", "a/2", "a/b/3"],
    );
    claim("list tells sizes", listed.iter().all(|s| s.size == 1));
    let folders = done("folders", store.folders(&name("a")).await);
    same("folders", &folders, &vec!["b".to_owned()]);
    let none = done("list", store.list(&name("nothing")).await);
    claim("list of an empty folder", none.is_empty());
}

async fn many_objects_are_all_listed(store: &Store) {
    let written: Vec<String> = (0..MANY).map(|n| format!("many/{n:08}")).collect();
    let writes = written.iter().map(|object| async move {
        done("put_new", store.put_new(&name(object), &b"x"[..]).await);
    });
    futures::stream::iter(writes)
        .buffer_unordered(32)
        .collect::<()>()
        .await;
    let listed = done("list", store.list(&name("many")).await);
    let names: Vec<String> = listed.iter().map(|s| s.name.to_string()).collect();
    claim("every object is listed, in order", names == written);
}
