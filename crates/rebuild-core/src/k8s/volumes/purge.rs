//! The end of volumes that were kept.

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::json;

use super::ServerReplacement;
use super::aside::phase;
use super::collect::claimed_by;
use super::kept::Kept;
use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::Ctx;
use crate::k8s::wait::{Seen, Wakes, named};

/// The annotation of volumes that a provisioner made, and can take away
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#pv-kubernetes-io-provisioned-by>).
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

impl ServerReplacement {
    /// Deletes the volumes.
    ///
    /// *Repeats:* a volume that is gone is no error. *Destroys:* the volumes, for good. Of one that no
    /// provisioner made, the object goes, and its disk is named.
    ///
    /// # Errors
    /// A refusal if one is bound again; one does not go in time.
    pub(super) async fn delete_volumes(&self, ctx: &Ctx, kept: &Kept) -> Result<()> {
        let volumes = || kept.volumes.iter().filter_map(|v| v.volume.as_ref());
        for volume in volumes() {
            self.refuse_bound(ctx, volume).await?;
        }
        for volume in volumes() {
            self.delete_volume(ctx, volume).await?;
        }
        Ok(())
    }

    pub(super) async fn now(
        &self,
        ctx: &Ctx,
        volume: &PersistentVolume,
    ) -> Result<Option<PersistentVolume>> {
        let now = self.volume(ctx, &volume.name_any()).await?;
        Ok(now.filter(|now| now.metadata.uid == volume.metadata.uid))
    }

    async fn refuse_bound(&self, ctx: &Ctx, volume: &PersistentVolume) -> Result<()> {
        match self.now(ctx, volume).await? {
            Some(now) if phase(&now) == "Bound" => Err(Error::refused(format!(
                "volume {} is bound again, to claim {}; nothing was deleted",
                now.name_any(),
                claim_name(&now)
            ))
            .hint("it is in use: find out by what before you delete it")),
            _ => Ok(()),
        }
    }

    async fn delete_volume(&self, ctx: &Ctx, volume: &PersistentVolume) -> Result<()> {
        let name = volume.name_any();
        let Some(now) = self.now(ctx, volume).await? else {
            return Ok(());
        };
        ctx.events.info(format!("deleting volume {name}"));
        if now.annotations().contains_key(PROVISIONED_BY) && claimed_by(&now).is_some() {
            // Its provisioner deletes the disk, and then the object.
            let patch = json!({
                "metadata": { "uid": volume.metadata.uid },
                "spec": { "persistentVolumeReclaimPolicy": "Delete" },
            });
            self.patch_volume(ctx, &name, patch).await?;
        } else {
            ctx.events.warn(format!(
                "no provisioner made volume {name}: its object goes, and what it stood for stays: {}",
                disk(&now)
            ));
            let api = self.cluster.wide::<PersistentVolume>();
            let params = DeleteParams::default();
            let shown = format!("volume {name}");
            let deleting = self.cluster.delete(ctx, &shown, &api, &name, &params);
            deleting.await?;
        }
        let wakes = Wakes::default().on(self.cluster.wide::<PersistentVolume>(), named(&name));
        let what = format!("deleting volume {name}");
        self.cluster
            .wait(ctx, &what, self.limit, wakes, || async {
                let Some(now) = self.now(ctx, volume).await? else {
                    return Ok(Seen::Done(()));
                };
                let status = now.status.clone().unwrap_or_default();
                let why = clean(&status.message.unwrap_or_default());
                match phase(&now) {
                    "Failed" => Err(Error::new(
                        ErrorKind::Server,
                        format!("volume {name} could not be deleted: {why}"),
                    )),
                    other => Ok(Seen::NotYet(format!("it is {other}"))),
                }
            })
            .await
    }
}

pub(super) fn claim_name(volume: &PersistentVolume) -> String {
    let spec = volume.spec.as_ref();
    let claim = spec.and_then(|s| s.claim_ref.as_ref());
    claim
        .and_then(|c| c.name.clone())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// What a volume stands for, for people.
fn disk(volume: &PersistentVolume) -> String {
    let Some(spec) = &volume.spec else {
        return "unknown".to_owned();
    };
    if let Some(csi) = &spec.csi {
        return format!("{} of {}", clean(&csi.volume_handle), clean(&csi.driver));
    }
    if let Some(path) = spec.host_path.as_ref().map(|p| &p.path) {
        return format!("folder {} of its node", clean(path));
    }
    if let Some(local) = &spec.local {
        return format!("{} of its node", clean(&local.path));
    }
    if let Some(nfs) = &spec.nfs {
        return format!("{} of {}", clean(&nfs.path), clean(&nfs.server));
    }
    "see its class".to_owned()
}
