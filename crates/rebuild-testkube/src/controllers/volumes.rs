//! Volumes: binding, provisioning, reclaiming and protection.
//! See <https://kubernetes.io/docs/concepts/storage/persistent-volumes/#lifecycle-of-a-volume-and-claim>.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::snapshots;
use crate::events;
use crate::object::{self, is_deleting, items, map, name, namespace, text, uid};
use crate::resources::{CLAIMS, PODS, STORAGE_CLASSES, VOLUMES};
use crate::selector::Selector;
use crate::store::{Key, Store};
use crate::write::{self, CLAIM_PROTECTION, DeleteOptions, Options, VOLUME_PROTECTION};

/// Who makes volumes here: folders of this machine.
pub(super) const PROVISIONER: &str = "testkube.local/folder";

/// Brings claims and volumes together; new volumes are folders below `home`.
pub(super) fn reconcile(store: &mut Store, home: &Path) {
    for claim in store.snapshot(&CLAIMS, None) {
        if is_deleting(&claim) {
            release_claim(store, &claim);
        } else if text(&claim, "/status/phase") == "Bound" {
            check_bound(store, &claim);
        } else {
            bind(store, &claim, home);
        }
    }
    for volume in store.snapshot(&VOLUMES, None) {
        settle(store, &volume, home);
    }
}

/// Lets a deleted claim go once no pod uses it.
fn release_claim(store: &mut Store, claim: &Value) {
    // A pod that was never scheduled uses nothing.
    let scheduled = |pod: &Arc<Value>| !text(pod, "/spec/nodeName").is_empty();
    if !users(store, claim).any(|pod| scheduled(&pod)) {
        write::modify(store, &Key::of(&CLAIMS, claim), |claim| {
            object::set_finalizer(claim, CLAIM_PROTECTION, false);
        });
    }
}

/// The pods that name a claim.
fn users(store: &Store, claim: &Value) -> impl Iterator<Item = Arc<Value>> {
    let pods = store.snapshot(&PODS, Some(namespace(claim)));
    pods.into_iter().filter(|pod| {
        let mut volumes = items(pod, "/spec/volumes").iter();
        volumes.any(|it| text(it, "/persistentVolumeClaim/claimName") == name(claim))
    })
}

/// A claim whose volume is gone, or is another's, is lost; one that asks for more gets it.
fn check_bound(store: &mut Store, claim: &Value) {
    let volume = store
        .get(&Key::new(&VOLUMES, "", text(claim, "/spec/volumeName")))
        .cloned();
    let kept = volume
        .as_ref()
        .is_some_and(|volume| text(volume, "/spec/claimRef/uid") == uid(claim));
    // A volume that was freed by hand is bound again.
    if let Some(volume) = volume.filter(|volume| is_free(volume)) {
        return join(store, claim, &volume);
    }
    let wanted = &claim["spec"]["resources"]["requests"]["storage"];
    write::modify(store, &Key::of(&CLAIMS, claim), |claim| {
        if !kept {
            claim["status"] = json!({"phase": "Lost"});
        } else if claim["status"]["capacity"]["storage"] != *wanted
            && bytes(wanted) > bytes(&claim["status"]["capacity"]["storage"])
        {
            claim["status"]["capacity"]["storage"] = wanted.clone();
        }
    });
}

/// Finds or makes the volume of a claim.
fn bind(store: &mut Store, claim: &Value, home: &Path) {
    let named = text(claim, "/spec/volumeName");
    let volumes = store.snapshot(&VOLUMES, None);
    let mut volumes = volumes.iter().filter(|volume| !is_deleting(volume));
    let found = if named.is_empty() {
        let volumes: Vec<_> = volumes.collect();
        let reserved = volumes.iter().find(|volume| refers(volume, claim));
        let volume = reserved.copied().or_else(|| smallest(&volumes, claim));
        volume.cloned()
    } else {
        volumes.find(|volume| name(volume) == named).cloned()
    };
    let unfit = found
        .as_ref()
        .filter(|it| is_free(it) && !satisfies(it, claim));
    if let Some(volume) = unfit {
        let why = format!("Cannot bind to requested volume \"{}\": ", name(volume));
        let why = why + "storageClassName, size or accessModes do not match";
        events::record(store, claim, "Warning", "VolumeMismatch", &why);
    } else if let Some(volume) = found.filter(|it| is_free(it) || refers(it, claim)) {
        return join(store, claim, &volume);
    }
    if text(claim, "/status/phase") != "Lost" {
        write::modify(store, &Key::of(&CLAIMS, claim), |claim| {
            claim["status"] = json!({"phase": "Pending"});
        });
    }
    if named.is_empty() {
        provision(store, claim, home);
    }
}

/// True if a volume is kept for nobody.
fn is_free(volume: &Value) -> bool {
    volume["spec"].get("claimRef").is_none_or(Value::is_null)
}

/// True if a volume is what a claim asks for.
fn satisfies(volume: &Value, claim: &Value) -> bool {
    let class = |object: &Value| text(object, "/spec/storageClassName").to_owned();
    let offered = items(volume, "/spec/accessModes");
    class(volume) == class(claim)
        && size(volume) >= bytes(&claim["spec"]["resources"]["requests"]["storage"])
        && items(claim, "/spec/accessModes")
            .iter()
            .all(|mode| offered.contains(mode))
}

fn size(volume: &Value) -> u64 {
    bytes(&volume["spec"]["capacity"]["storage"])
}

/// True if a volume is kept for this claim: by its name, and by its uid if it names one.
fn refers(volume: &Value, claim: &Value) -> bool {
    let reference = &volume["spec"]["claimRef"];
    let of_uid = text(reference, "/uid");
    text(reference, "/name") == name(claim)
        && text(reference, "/namespace") == namespace(claim)
        && (of_uid.is_empty() || of_uid == uid(claim))
}

/// The smallest free volume that is enough for a claim.
fn smallest<'a>(volumes: &[&'a Arc<Value>], claim: &Value) -> Option<&'a Arc<Value>> {
    let selector = Selector::of_object(&claim["spec"]["selector"]);
    let fits = |volume: &&&Arc<Value>| {
        text(volume, "/status/phase") == "Available"
            && is_free(volume)
            && satisfies(volume, claim)
            && selector.matches(volume)
    };
    let fitting = volumes.iter().filter(fits).copied();
    fitting.min_by_key(|volume| size(volume))
}

fn join(store: &mut Store, claim: &Value, volume: &Value) {
    write::modify(store, &Key::of(&VOLUMES, volume), |volume| {
        volume["spec"]["claimRef"] = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": name(claim),
            "namespace": namespace(claim), "uid": uid(claim),
        });
        volume["status"] = json!({"phase": "Bound"});
    });
    write::modify(store, &Key::of(&CLAIMS, claim), |claim| {
        claim["spec"]["volumeName"] = json!(name(volume));
        claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = json!("yes");
        claim["status"] = json!({
            "phase": "Bound", "accessModes": volume["spec"]["accessModes"],
            "capacity": volume["spec"]["capacity"],
        });
    });
}

/// Makes a volume for a claim whose class has the provisioner.
fn provision(store: &mut Store, claim: &Value, home: &Path) {
    let class = text(claim, "/spec/storageClassName");
    let class = store.get(&Key::new(&STORAGE_CLASSES, "", class)).cloned();
    let Some(class) = class.filter(|class| class["provisioner"] == PROVISIONER) else {
        return;
    };
    let mode = text(&class, "/volumeBindingMode");
    if mode == "WaitForFirstConsumer" && users(store, claim).next().is_none() {
        let why = "waiting for first consumer to be created before binding";
        events::record(store, claim, "Normal", "WaitForFirstConsumer", why);
        return;
    }
    let volume = format!("pvc-{}", uid(claim));
    let folder = home.join("volumes").join(&volume);
    let data = match snapshots::source_of(store, claim) {
        Ok(data) => data,
        Err(why) => {
            events::record(store, claim, "Warning", "ProvisioningFailed", &why);
            return;
        }
    };
    if let Err(error) = snapshots::copy(data.as_deref(), &folder) {
        events::record(
            store,
            claim,
            "Warning",
            "ProvisioningFailed",
            &error.to_string(),
        );
        return;
    }
    let object = json!({
        "metadata": {
            "name": volume,
            "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER},
        },
        "spec": {
            "capacity": claim["spec"]["resources"]["requests"],
            "accessModes": claim["spec"]["accessModes"],
            "storageClassName": claim["spec"]["storageClassName"],
            "persistentVolumeReclaimPolicy": class["reclaimPolicy"],
            "hostPath": {"path": folder, "type": ""},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": name(claim),
                "namespace": namespace(claim), "uid": uid(claim),
            },
        },
    });
    // One that is there already is bound the next time.
    if write::create(store, &VOLUMES, "", object, &Options::default()).is_ok() {
        let message = format!("Successfully provisioned volume {volume}");
        events::record(store, claim, "Normal", "ProvisioningSucceeded", &message);
    }
}

/// The phase of a volume, and what becomes of it when its claim is gone.
fn settle(store: &mut Store, volume: &Value, home: &Path) {
    let reference = &volume["spec"]["claimRef"];
    let claim = Key::new(
        &CLAIMS,
        text(reference, "/namespace"),
        text(reference, "/name"),
    );
    let of_uid = text(reference, "/uid");
    let claimed = store.get(&claim).is_some_and(|claim| uid(claim) == of_uid);
    let phase = match (of_uid.is_empty(), claimed) {
        (true, _) => "Available",
        (false, true) => "Bound",
        (false, false) => "Released",
    };
    let key = Key::of(&VOLUMES, volume);
    if phase == "Released" && text(volume, "/spec/persistentVolumeReclaimPolicy") == "Delete" {
        let folder = Path::new(text(volume, "/spec/hostPath/path"));
        // Folders that the cluster did not make are not the cluster's to remove.
        if folder.starts_with(home) {
            let _ = std::fs::remove_dir_all(folder);
        }
        let _ = write::delete(store, &key, &DeleteOptions::default());
    }
    write::modify(store, &key, |volume| {
        map(&mut volume["status"]).insert("phase".into(), json!(phase));
        if is_deleting(volume) && phase != "Bound" {
            object::set_finalizer(volume, VOLUME_PROTECTION, false);
        }
    });
}

/// The number of bytes that a quantity such as `10Gi` means.
fn bytes(quantity: &Value) -> u64 {
    let text = quantity.as_str().unwrap_or_default();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor: u64 = match &text[digits.len()..] {
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        _ => 1,
    };
    digits.parse::<u64>().unwrap_or(0).saturating_mul(factor)
}
