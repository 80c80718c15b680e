//! Snapshots of volumes: copies of their folders.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::clock;
use crate::object::{self, is_deleting, name, namespace, text, uid};
use crate::resources::{CLAIMS, SNAPSHOT_CLASSES, SNAPSHOT_CONTENTS, SNAPSHOTS, VOLUMES};
use crate::store::{Key, Store};
use crate::write::{self, DeleteOptions, Options};

const PROTECTION: &str = "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection";

/// Takes snapshots that are asked for, and removes those that are deleted.
pub(super) fn reconcile(store: &mut Store, home: &Path) {
    for snapshot in store.snapshot(&SNAPSHOTS, None) {
        if is_deleting(&snapshot) {
            release(store, &snapshot);
        } else if !object::flag(&snapshot, "/status/readyToUse") {
            take(store, &snapshot, home);
        }
    }
    for content in store.snapshot(&SNAPSHOT_CONTENTS, None) {
        if is_deleting(&content) {
            let folder = Path::new(text(&content, "/status/snapshotHandle"));
            if folder.starts_with(home) && text(&content, "/spec/deletionPolicy") == "Delete" {
                let _ = std::fs::remove_dir_all(folder);
            }
            write::modify(store, &Key::of(&SNAPSHOT_CONTENTS, &content), |content| {
                object::set_finalizer(content, PROTECTION, false);
            });
        }
    }
}

fn take(store: &mut Store, snapshot: &Value, home: &Path) {
    let given = text(snapshot, "/spec/source/volumeSnapshotContentName");
    if !given.is_empty() {
        let content = store.get(&Key::new(&SNAPSHOT_CONTENTS, "", given)).cloned();
        if let Some(content) = content {
            write::modify(store, &Key::of(&SNAPSHOT_CONTENTS, &content), |content| {
                let handle = content["spec"]["source"]["snapshotHandle"].clone();
                content["status"] = json!({"readyToUse": true, "snapshotHandle": handle});
            });
            ready(store, snapshot, given, &json!("0"));
        }
        return;
    }
    let claim = text(snapshot, "/spec/source/persistentVolumeClaimName");
    let Some((volume, folder, size)) = volume_of(store, namespace(snapshot), claim) else {
        write::modify(store, &Key::of(&SNAPSHOTS, snapshot), |snapshot| {
            let message = format!("failed to get claim {claim}: it is not there or not bound");
            snapshot["status"] = json!({"readyToUse": false, "error": {"message": message}});
        });
        return;
    };
    let content = format!("snapcontent-{}", uid(snapshot));
    let copied = home.join("snapshots").join(&content);
    if copy(Some(&folder), &copied).is_err() {
        return;
    }
    let class = class_of(store, snapshot);
    let object = json!({
        "metadata": {"name": content, "finalizers": [PROTECTION]},
        "spec": {
            "deletionPolicy": class.as_ref().map_or("Delete", |class| text(class, "/deletionPolicy")),
            "driver": super::volumes::PROVISIONER, "source": {"volumeHandle": volume},
            "volumeSnapshotClassName": class.as_ref().map(|class| name(class)),
            "volumeSnapshotRef": {
                "apiVersion": snapshot["apiVersion"], "kind": snapshot["kind"],
                "name": name(snapshot), "namespace": namespace(snapshot), "uid": uid(snapshot),
            },
        },
    });
    let options = Options::default();
    // One that is there already is the one that was begun.
    let _ = write::create(store, &SNAPSHOT_CONTENTS, "", object, &options);
    write::modify(
        store,
        &Key::new(&SNAPSHOT_CONTENTS, "", &content),
        |content| {
            content["status"] = json!({"readyToUse": true, "snapshotHandle": copied});
        },
    );
    ready(store, snapshot, &content, &size);
}

fn ready(store: &mut Store, snapshot: &Value, content: &str, size: &Value) {
    write::modify(store, &Key::of(&SNAPSHOTS, snapshot), |snapshot| {
        object::set_finalizer(snapshot, PROTECTION, true);
        snapshot["status"] = json!({
            "readyToUse": true, "boundVolumeSnapshotContentName": content,
            "creationTime": clock::now(), "restoreSize": size,
        });
    });
}

/// A deleted snapshot takes its content along if that is the policy.
fn release(store: &mut Store, snapshot: &Value) {
    let content = text(snapshot, "/status/boundVolumeSnapshotContentName");
    let content = Key::new(&SNAPSHOT_CONTENTS, "", content);
    let policy = store
        .get(&content)
        .map(|it| text(it, "/spec/deletionPolicy") == "Delete");
    if policy == Some(true) {
        let _ = write::delete(store, &content, &DeleteOptions::default());
    }
    write::modify(store, &Key::of(&SNAPSHOTS, snapshot), |snapshot| {
        object::set_finalizer(snapshot, PROTECTION, false);
    });
}

fn class_of(store: &Store, snapshot: &Value) -> Option<std::sync::Arc<Value>> {
    let wanted = text(snapshot, "/spec/volumeSnapshotClassName");
    let is_default = |class: &Value| {
        class["metadata"]["annotations"]["snapshot.storage.kubernetes.io/is-default-class"]
            == "true"
    };
    let mut classes = store.list(&SNAPSHOT_CLASSES, None).map(|(_, class)| class);
    let fits = |class: &&std::sync::Arc<Value>| {
        if wanted.is_empty() {
            is_default(class)
        } else {
            name(class) == wanted
        }
    };
    classes.find(fits).cloned()
}

/// The volume of a bound claim: its name, its folder and its size.
fn volume_of(store: &Store, namespace: &str, claim: &str) -> Option<(String, PathBuf, Value)> {
    let claim = store.get(&Key::new(&CLAIMS, namespace, claim))?;
    let volume = store.get(&Key::new(&VOLUMES, "", text(claim, "/spec/volumeName")))?;
    let folder = ["/spec/hostPath/path", "/spec/local/path"].map(|at| text(volume, at));
    let folder = folder.into_iter().find(|folder| !folder.is_empty())?;
    let size = volume["spec"]["capacity"]["storage"].clone();
    Some((name(volume).to_owned(), folder.into(), size))
}

/// The folder whose data a new claim begins with, if it names a source.
///
/// # Errors
/// The source is not there, or not ready.
pub(super) fn source_of(store: &Store, claim: &Value) -> Result<Option<PathBuf>, String> {
    let source = &claim["spec"]["dataSource"];
    let wanted = text(source, "/name");
    match text(source, "/kind") {
        "" => Ok(None),
        "PersistentVolumeClaim" => {
            let volume = volume_of(store, namespace(claim), wanted);
            let folder = volume.map(|(_, folder, _)| folder);
            Ok(Some(
                folder.ok_or_else(|| format!("claim {wanted} is not bound"))?,
            ))
        }
        _ => {
            let snapshot = store.get(&Key::new(&SNAPSHOTS, namespace(claim), wanted));
            let ready = snapshot.filter(|it| object::flag(it, "/status/readyToUse"));
            let snapshot = ready.ok_or_else(|| format!("snapshot {wanted} is not ready"))?;
            let content = text(snapshot, "/status/boundVolumeSnapshotContentName");
            let content = store.get(&Key::new(&SNAPSHOT_CONTENTS, "", content));
            let content = content.ok_or_else(|| format!("snapshot {wanted} has no content"))?;
            Ok(Some(text(content, "/status/snapshotHandle").into()))
        }
    }
}

/// Makes a folder, with all that is in another one if that is given, owners and times included.
pub(super) fn copy(from: Option<&Path>, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    let Some(from) = from else { return Ok(()) };
    let status = Command::new("cp")
        .arg("-a")
        .arg(from.join("."))
        .arg(to)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("cp ended with {status}")))
    }
}
