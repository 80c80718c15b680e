//! Moving a server out of the way, with its volumes kept.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::collect::claimed_by;
use super::kept::{Kept, KeptVolume};
use super::removal::shown;
use super::{RETIRED_BY, ServerReplacement};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::k8s::wait::{Seen, Wakes, named};
use crate::k8s::{ClusterWorkload, WorkloadKind, WorkloadRef};
use crate::traits::{Workload, WorkloadState};

/// Keeps the volume when its claim goes.
pub(super) const RETAIN: &str = "Retain";

impl ServerReplacement {
    /// Keeps the volumes, stops the programs, and deletes the objects and then the claims, each of
    /// them as it was written down and no other.
    ///
    /// *Repeats:* goes on where it was cut. *Destroys:* the objects, which are written down. The
    /// volumes stay.
    ///
    /// # Errors
    /// A volume cannot be kept (then nothing has been stopped); something does not go in time.
    pub(super) async fn set_aside(&self, ctx: &Ctx, kept: &Kept) -> Result<()> {
        for volume in &kept.volumes {
            self.retain(ctx, volume).await?;
        }
        for object in &kept.objects {
            self.stop(ctx, object).await?;
        }
        for object in &kept.objects {
            let (resource, name) = (resource_of(object)?, object.name_any());
            self.remove(ctx, &resource, &name, uid_of(object)?).await?;
        }
        let claims = ApiResource::erase::<PersistentVolumeClaim>(&());
        for volume in &kept.volumes {
            // The pods took their time to end, and something else may have set it meanwhile.
            self.retain(ctx, volume).await?;
            let name = volume.claim.name_any();
            let uid = volume.claim.metadata.uid.as_deref().unwrap_or_default();
            self.remove(ctx, &claims, &name, uid).await?;
        }
        for volume in &kept.volumes {
            self.await_released(ctx, volume).await?;
        }
        Ok(())
    }

    /// Sets the volume to `Retain`, and reads back that it is.
    async fn retain(&self, ctx: &Ctx, kept: &KeptVolume) -> Result<()> {
        let Some(volume) = &kept.volume else {
            return Ok(());
        };
        let name = volume.name_any();
        let uid = volume.metadata.uid.as_deref();
        let Some(now) = self.volume(ctx, &name).await? else {
            return Err(gone(&name));
        };
        if now.metadata.uid.as_deref() != uid {
            return Err(gone(&name));
        }
        if policy(&now) == Some(RETAIN) && now.annotations().contains_key(RETIRED_BY) {
            return Ok(());
        }
        let patch = json!({
            "metadata": { "uid": uid, "annotations": { RETIRED_BY: ctx.run.to_string() } },
            "spec": { "persistentVolumeReclaimPolicy": RETAIN },
        });
        let now = self.patch_volume(ctx, &name, patch).await?;
        if policy(&now) != Some(RETAIN) {
            return Err(Error::refused(format!(
                "volume {name:?} was set to {RETAIN} and is {:?}; something else sets it",
                policy(&now).unwrap_or("nothing")
            )));
        }
        ctx.events.info(format!(
            "volume {name} is kept: its reclaim policy is {RETAIN}"
        ));
        Ok(())
    }

    pub(super) async fn patch_volume(
        &self,
        ctx: &Ctx,
        name: &str,
        patch: serde_json::Value,
    ) -> Result<PersistentVolume> {
        let api = self.cluster.wide::<PersistentVolume>();
        let (patch, params) = (Patch::Merge(patch), PatchParams::default());
        let what = format!("could not change volume {name:?}");
        let change = || api.patch(name, &params, &patch);
        self.cluster.ask(ctx, &what, change).await
    }

    /// Stops the programs of an object that is still the one that was written down.
    async fn stop(&self, ctx: &Ctx, object: &DynamicObject) -> Result<()> {
        let Some(workload) = workload_of(object) else {
            return Ok(());
        };
        let now = self
            .look(ctx, &resource_of(object)?, &workload.name)
            .await?;
        let is_it = |now: &DynamicObject| now.metadata.uid == object.metadata.uid;
        if !now.as_ref().is_some_and(is_it) {
            return Ok(());
        }
        ctx.events.info(format!("stopping {workload}"));
        let state = WorkloadState {
            running: true,
            detail: serde_json::Value::Null,
        };
        self.handle(&workload).stop(ctx, &state).await
    }

    /// The workload, to be stopped and started.
    pub(super) fn handle(&self, workload: &WorkloadRef) -> ClusterWorkload {
        let name = workload.to_string();
        ClusterWorkload::new(self.cluster.clone(), &name, workload.clone(), self.limit)
    }

    /// Waits until the controller has seen that the volume's claim is gone.
    async fn await_released(&self, ctx: &Ctx, kept: &KeptVolume) -> Result<()> {
        let Some(volume) = &kept.volume else {
            return Ok(());
        };
        let name = volume.name_any();
        let wakes = Wakes::default().on(self.cluster.wide::<PersistentVolume>(), named(&name));
        let what = format!("the release of volume {name}");
        self.cluster
            .wait(ctx, &what, self.limit, wakes, || async {
                let now = self.volume(ctx, &name).await?.ok_or_else(|| gone(&name))?;
                let ours = claimed_by(&now) == kept.claim.metadata.uid.as_deref();
                Ok(match phase(&now) {
                    "Bound" if ours => Seen::NotYet("it is still bound".to_owned()),
                    _ => Seen::Done(()),
                })
            })
            .await
    }
}

pub(super) fn gone(volume: &str) -> Error {
    Error::refused(format!(
        "volume {volume:?} is gone, or is another one of the same name"
    ))
    .hint("the data is in the run's backup: rebuild restore BACKUP --into NAME")
}

pub(super) fn policy(volume: &PersistentVolume) -> Option<&str> {
    let spec = volume.spec.as_ref()?;
    spec.persistent_volume_reclaim_policy.as_deref()
}

pub(super) fn phase(volume: &PersistentVolume) -> &str {
    let status = volume.status.as_ref();
    status.and_then(|s| s.phase.as_deref()).unwrap_or("Pending")
}

/// The API of an object that was written down.
///
/// # Errors
/// What was written down does not say.
pub(super) fn resource_of(object: &DynamicObject) -> Result<ApiResource> {
    let types = object.types.as_ref();
    let types =
        types.ok_or_else(|| Error::corrupt("an object that was written down has no kind"))?;
    let gvk = types
        .try_into()
        .map_err(|e| Error::corrupt("an object's apiVersion cannot be read").caused_by(e))?;
    Ok(ApiResource::from_gvk(&gvk))
}

/// The uid of an object that was read.
///
/// # Errors
/// What was written down does not say.
pub(super) fn uid_of(object: &DynamicObject) -> Result<&str> {
    object.metadata.uid.as_deref().ok_or_else(|| {
        let shown = resource_of(object).map(|r| shown(&r, &object.name_any()));
        Error::corrupt(format!("{} has no uid", shown.unwrap_or_default()))
    })
}

/// The object as something whose programs can be stopped.
pub(super) fn workload_of(object: &DynamicObject) -> Option<WorkloadRef> {
    let kind = match &*object.types.as_ref()?.kind {
        "StatefulSet" => WorkloadKind::StatefulSet,
        "Deployment" => WorkloadKind::Deployment,
        _ => return None,
    };
    let name = object.name_any();
    Some(WorkloadRef { kind, name })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;
    use crate::k8s::PodChoice;
    use crate::testing::kubernetes::World;

    /// An object or a volume that has the name of what was written down, and is another.
    #[tokio::test]
    async fn what_has_the_name_and_another_uid_stays() {
        let world = World::empty().await;
        let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}}";
        // It is kept for a claim of the namespace, and so goes with it.
        let (namespace, disk) = (&world.namespace, format!("disk-{}", world.namespace));
        let volume = format!(
            "{{apiVersion: v1, kind: PersistentVolume, metadata: {{name: {disk}}}, spec: {{
              capacity: {{storage: 1Gi}}, accessModes: [ReadWriteOnce], hostPath: {{path: /nowhere}},
              claimRef: {{namespace: {namespace}, name: nobody}},
              persistentVolumeReclaimPolicy: Delete}}}}"
        );
        world.apply(map).await;
        world.apply(&volume).await;
        let replacement = ServerReplacement {
            cluster: world.cluster().await,
            pod: PodChoice::Service {
                name: "db".to_owned(),
                port: 5432,
            },
            objects: Vec::new(),
            claims: Vec::new(),
            manifests: Vec::new(),
            remove_finalizers: Vec::new(),
            limit: Duration::from_secs(10),
            store: crate::store::Store::over(std::sync::Arc::new(
                object_store::memory::InMemory::new(),
            )),
        };
        let ctx = Ctx::quiet();
        let resource = ApiResource::erase::<ConfigMap>(&());
        let other = "7a1c7a1c-0000-0000-0000-000000000000";
        let removed = replacement.remove(&ctx, &resource, "settings", other);
        removed.await.expect("what was written down is gone");
        let there = world.get("configmap", "settings").await.expect("it stays");
        let uid = there["metadata"]["uid"].as_str().expect("a uid");
        let removed = replacement.remove(&ctx, &resource, "settings", uid);
        removed.await.expect("removed");
        assert_eq!(world.get("configmap", "settings").await, None);

        let mut volume = replacement.volume(&ctx, &disk).await.expect("an answer");
        let written = volume.as_mut().expect("a volume");
        written.metadata.uid = Some(other.to_owned());
        let kept = KeptVolume {
            volume,
            claim: Default::default(),
        };
        let e = replacement.retain(&ctx, &kept).await.expect_err("another");
        assert!(e.is_refusal(), "{e:?}");
        let there = world.get("volume", &disk).await.expect("it stays");
        assert_eq!(there["spec"]["persistentVolumeReclaimPolicy"], "Delete");
        world.end().await;
    }
}
