//! Snapshots of the database's volumes, besides the backup of its rows.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, PostParams,
};
use serde_json::json;

use super::forward::find;
use super::volumes::claims_of;
use super::wait::{Seen, Wakes, named};
use super::{Cluster, PodChoice};
use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, Outcome, Verdict};
use crate::traits::{Backup, BackupMode, BackupSummary, DestroyPermit};

/// The label of snapshots that belong to a backup.
const OF_BACKUP: &str = "rebuild-db.github.io/backup";

/// A [`Backup`] with a VolumeSnapshot of each claim of the database's pod besides.
///
/// The rows are what is proven and what a run goes back to. A snapshot is the way back for what is
/// on the volumes beyond them; it is restored by a claim that names it as its `dataSource`
/// (<https://kubernetes.io/docs/concepts/storage/volume-snapshots/>).
pub struct SnapshotBackup {
    /// The backup of the rows.
    pub rows: Arc<dyn Backup>,
    /// The cluster.
    pub cluster: Cluster,
    /// The database's pod.
    pub pod: PodChoice,
    /// The VolumeSnapshotClass, or the default one.
    pub class: Option<String>,
    /// How long it may take until the snapshots can be used.
    pub limit: Duration,
}

fn kind() -> GroupVersionKind {
    GroupVersionKind::gvk("snapshot.storage.k8s.io", "v1", "VolumeSnapshot")
}

fn resource() -> ApiResource {
    ApiResource::from_gvk(&kind())
}

/// Makes sure that the cluster has snapshots at all.
///
/// # Errors
/// It has not; it could not be asked.
pub async fn require_snapshots(cluster: &Cluster, ctx: &Ctx) -> Result<()> {
    let found = cluster.discover(ctx, &kind()).await;
    found.map(|_| ()).map_err(|e| match e.kind() {
        ErrorKind::Unreachable | ErrorKind::Deadline => e,
        _ => e.hint(
            "snapshots take a CSI driver and the snapshot controller in the cluster; without them \
             leave target.kubernetes.snapshot out",
        ),
    })
}

/// Whether a snapshot can be used, and why not yet.
fn state(snapshot: &DynamicObject) -> std::result::Result<String, String> {
    let status = &snapshot.data["status"];
    if status["readyToUse"] == true {
        let size = status["restoreSize"].as_str().unwrap_or("unknown");
        return Ok(clean(size));
    }
    let why = status["error"]["message"].as_str();
    Err(clean(why.unwrap_or("it is not ready to use yet")))
}

impl SnapshotBackup {
    /// Its name: the claim's, as far as there is room, and the backup's.
    fn name(claim: &str, id: &BackupId) -> String {
        let room = 253 - 1 - id.as_str().len();
        let stem: String = claim.chars().take(room).collect();
        format!("{}-{id}", stem.trim_end_matches(['-', '.']))
    }

    async fn claims(&self, ctx: &Ctx) -> Result<Vec<String>> {
        let (name, _) = find(&self.cluster, ctx, &self.pod).await?;
        let api = self.cluster.api::<Pod>();
        let what = format!("could not read pod {name}");
        let pod = self.cluster.ask(ctx, &what, || api.get(&name)).await?;
        let claims: Vec<String> = claims_of(&pod).map(ToOwned::to_owned).collect();
        if claims.is_empty() {
            return Err(Error::refused(format!(
                "pod {name} mounts no claim, so there is nothing to take a snapshot of"
            )));
        }
        if claims.len() > 1 {
            ctx.events.warn(format!(
                "pod {name} has {} claims, whose snapshots are not of the same moment: a server that \
                 is spread over them may not start on them",
                claims.len()
            ));
        }
        Ok(claims)
    }

    async fn snapshot(&self, ctx: &Ctx, claim: &str, id: &BackupId) -> Result<()> {
        let name = Self::name(claim, id);
        let mut snapshot = DynamicObject::new(&name, &resource());
        let label = (OF_BACKUP.to_owned(), id.to_string());
        snapshot.metadata.labels = Some([label].into());
        snapshot.data = json!({ "spec": {
            "volumeSnapshotClassName": self.class,
            "source": { "persistentVolumeClaimName": claim },
        }});
        if self.class.is_none() {
            // Absent means the default; null would be a class without a name.
            snapshot.data["spec"]
                .as_object_mut()
                .map(|spec| spec.remove("volumeSnapshotClassName"));
        }
        let api = self.cluster.api_of(&resource());
        let params = PostParams::default();
        let create = || async {
            match api.create(&params, &snapshot).await {
                // The name is the backup's, so it is that of an earlier try.
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
                made => made.map(|_| ()),
            }
        };
        let what = format!("could not take a snapshot of claim {claim:?}");
        self.cluster.ask(ctx, &what, create).await?;
        let wakes = Wakes::default().on(api.clone(), named(&name));
        let what = format!("the snapshot of claim {claim}");
        let size = self
            .cluster
            .wait(ctx, &what, self.limit, wakes, || async {
                let now = self.cluster.ask(ctx, &what, || api.get(&name)).await?;
                Ok(match state(&now) {
                    Ok(size) => Seen::Done(size),
                    Err(why) => Seen::NotYet(why),
                })
            })
            .await?;
        ctx.events.info(format!(
            "volumesnapshot/{name} can be used; it is of {size}"
        ));
        Ok(())
    }

    async fn of_backup(&self, ctx: &Ctx, id: &BackupId) -> Result<Vec<DynamicObject>> {
        let api = self.cluster.api_of(&resource());
        let params = ListParams::default().labels(&format!("{OF_BACKUP}={id}"));
        let what = "could not list the snapshots";
        let found = self.cluster.ask(ctx, what, || api.list(&params)).await?;
        Ok(found.items)
    }
}

#[async_trait]
impl Backup for SnapshotBackup {
    async fn list(&self, ctx: &Ctx) -> Result<Vec<BackupSummary>> {
        self.rows.list(ctx).await
    }

    /// The snapshots are taken after the rows: one that is there says that the rows are.
    async fn take(
        &self,
        ctx: &Ctx,
        target: &Identity,
        id: &BackupId,
        mode: BackupMode,
    ) -> Result<BackupSummary> {
        let summary = self.rows.take(ctx, target, id, mode).await?;
        for claim in self.claims(ctx).await? {
            self.snapshot(ctx, &claim, id).await?;
        }
        Ok(summary)
    }

    async fn check(&self, ctx: &Ctx, id: &BackupId) -> Result<(BackupSummary, Verdict)> {
        let (summary, mut verdict) = self.rows.check(ctx, id).await?;
        let found = self.of_backup(ctx, id).await?;
        if found.is_empty() {
            let why = "the backup has no volume snapshot".to_owned();
            verdict.add("volume snapshots", "none", Outcome::Failed(vec![why]));
        }
        for snapshot in &found {
            let name = format!("volumesnapshot/{}", snapshot.name_any());
            let (looked_at, complaints) = match state(snapshot) {
                Ok(size) => (size, Vec::new()),
                Err(why) => ("not ready".to_owned(), vec![format!("{name}: {why}")]),
            };
            verdict.add_complaints(name, looked_at, complaints);
        }
        Ok((summary, verdict))
    }

    /// *Destroys:* the snapshots, too.
    async fn remove(&self, ctx: &Ctx, id: &BackupId, permit: DestroyPermit) -> Result<()> {
        let api = self.cluster.api_of(&resource());
        let snapshots = self.of_backup(ctx, id).await?;
        self.rows.remove(ctx, id, permit).await?;
        for snapshot in snapshots {
            let name = snapshot.name_any();
            let params = DeleteParams::default();
            let shown = format!("volumesnapshot/{name}");
            let deleting = self.cluster.delete(ctx, &shown, &api, &name, &params);
            deleting.await?;
        }
        Ok(())
    }
}
