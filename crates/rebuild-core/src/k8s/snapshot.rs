//! Snapshots of the database's volumes, besides the backup of its rows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, PostParams,
};
use serde_json::json;

use super::cluster::Found;
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

/// The annotation with the names of all snapshots of that backup: one that is lost is missed by the others.
const ALL_OF_BACKUP: &str = "rebuild-db.github.io/snapshots";

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

/// What is known of what a snapshot stands for.
enum Content {
    Ready,
    NotReady,
    Unseen,
}

fn kind_of(name: &str) -> GroupVersionKind {
    GroupVersionKind::gvk("snapshot.storage.k8s.io", "v1", name)
}

fn kind() -> GroupVersionKind {
    kind_of("VolumeSnapshot")
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

/// The names of all snapshots of the backup that one of them belongs to.
fn all_of_backup(snapshot: &DynamicObject) -> impl Iterator<Item = &str> {
    let all = snapshot.annotations().get(ALL_OF_BACKUP);
    all.into_iter().flat_map(|names| names.split(','))
}

/// Whether a snapshot can be used, and why not yet.
fn state(snapshot: &DynamicObject) -> std::result::Result<String, String> {
    if snapshot.metadata.deletion_timestamp.is_some() {
        return Err("it is being deleted".to_owned());
    }
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

    /// Takes the snapshot of `claim`; `all` are the names of those of the backup.
    async fn snapshot(&self, ctx: &Ctx, claim: &str, id: &BackupId, all: &str) -> Result<()> {
        let name = Self::name(claim, id);
        let mut snapshot = DynamicObject::new(&name, &resource());
        let label = (OF_BACKUP.to_owned(), id.to_string());
        snapshot.metadata.labels = Some([label].into());
        let all = (ALL_OF_BACKUP.to_owned(), all.to_owned());
        snapshot.metadata.annotations = Some([all].into());
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

    /// What is seen of a snapshot, or why it cannot be used.
    async fn look_at(
        &self,
        ctx: &Ctx,
        snapshot: Option<&DynamicObject>,
    ) -> Result<std::result::Result<String, String>> {
        let Some(snapshot) = snapshot else {
            return Ok(Err("it is gone".to_owned()));
        };
        let size = match state(snapshot) {
            Ok(size) => size,
            Err(why) => return Ok(Err(why)),
        };
        let content = snapshot.data["status"]["boundVolumeSnapshotContentName"].as_str();
        let Some(content) = content.filter(|name| !name.is_empty()) else {
            return Ok(Err("it has no content".to_owned()));
        };
        Ok(match self.content(ctx, content).await? {
            Content::Ready => Ok(size),
            Content::NotReady => Err(format!(
                "its volumesnapshotcontent/{} is gone, or not ready",
                clean(content)
            )),
            // The snapshot itself says that it is ready, and such a right is the cluster's to give.
            Content::Unseen => Ok(format!("{size}; this account may not see its content")),
        })
    }

    async fn content(&self, ctx: &Ctx, name: &str) -> Result<Content> {
        let kind = kind_of("VolumeSnapshotContent");
        let ready = |found: &DynamicObject| {
            let going = found.metadata.deletion_timestamp.is_some();
            !going && found.data["status"]["readyToUse"] == true
        };
        Ok(match self.cluster.find(ctx, &kind, name).await? {
            Found::Object(found) if ready(&found) => Content::Ready,
            Found::Object(_) | Found::Nothing => Content::NotReady,
            Found::Forbidden(_) => Content::Unseen,
        })
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
        let claims = self.claims(ctx).await?;
        let all: Vec<String> = claims.iter().map(|claim| Self::name(claim, id)).collect();
        for claim in &claims {
            self.snapshot(ctx, claim, id, &all.join(",")).await?;
        }
        Ok(summary)
    }

    /// Each snapshot that the backup has must be there and ready, and what is behind it too.
    async fn check(&self, ctx: &Ctx, id: &BackupId) -> Result<(BackupSummary, Verdict)> {
        let (summary, mut verdict) = self.rows.check(ctx, id).await?;
        let found = self.of_backup(ctx, id).await?;
        if found.is_empty() {
            let why = "the backup has no volume snapshot".to_owned();
            verdict.add("volume snapshots", "none", Outcome::Failed(vec![why]));
        }
        let mut names: BTreeSet<String> = found.iter().map(ResourceExt::name_any).collect();
        let told = found.iter().flat_map(all_of_backup);
        names.extend(told.map(ToOwned::to_owned));
        for name in names {
            let snapshot = found.iter().find(|s| s.name_any() == name);
            let name = format!("volumesnapshot/{}", clean(&name));
            let (looked_at, complaints) = match self.look_at(ctx, snapshot).await? {
                Ok(looked_at) => (looked_at, Vec::new()),
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
