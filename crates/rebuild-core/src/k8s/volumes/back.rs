//! Bringing a server back onto its volumes.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::Status;
use serde_json::{Value, json};

use super::aside::{gone, phase, resource_of, workload_of};
use super::collect::{claimed_by, volume_of};
use super::kept::{Kept, KeptVolume, Side};
use super::purge::claim_name;
use super::removal::shown;
use super::{REINSTATED_BY, RETIRED_BY, ServerReplacement};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::k8s::wait::{Seen, Wakes, named};
use crate::traits::{Workload, WorkloadState};

impl ServerReplacement {
    /// Gives each volume to a claim of the name it had, makes the objects anew, and waits until
    /// their programs are ready. What stands in their place is set aside first; `other` is the
    /// system identifier of that server, if it is known.
    ///
    /// *Repeats:* goes on where it was cut. *Destroys:* nothing.
    ///
    /// # Errors
    /// A volume is gone; something does not come in time.
    pub(super) async fn bring_back(&self, ctx: &Ctx, kept: &Kept, other: &str) -> Result<()> {
        self.refuse_taken(ctx, kept).await?;
        self.make_room(ctx, kept, other).await?;
        for volume in &kept.volumes {
            self.reclaim(ctx, volume).await?;
        }
        for object in kept.objects.iter().rev() {
            self.recreate(ctx, object).await?;
        }
        self.give_owners(ctx, kept).await?;
        for object in &kept.objects {
            if let Some(workload) = workload_of(object) {
                self.cluster
                    .wait_for_rollout(ctx, &workload, self.limit)
                    .await?;
            }
        }
        Ok(())
    }

    /// Of a volume that somebody has bound to another claim since, a pod may use it: two servers on one volume
    /// destroy what is on it.
    async fn refuse_taken(&self, ctx: &Ctx, kept: &Kept) -> Result<()> {
        for KeptVolume { claim, volume } in &kept.volumes {
            let now = match volume {
                Some(volume) => self.now(ctx, volume).await?,
                None => None,
            };
            let Some(now) = now.filter(|now| phase(now) == "Bound") else {
                continue;
            };
            let reference = now.spec.as_ref().and_then(|s| s.claim_ref.as_ref());
            let namespace = reference.and_then(|r| r.namespace.as_deref());
            let other = claim_name(&now);
            if other != claim.name_any() || namespace != Some(self.cluster.namespace()) {
                let volume = now.name_any();
                return Err(Error::refused(format!(
                    "volume {volume} of the old server is bound to claim {other}; nothing was changed"
                ))
                .hint("end what uses that claim and delete it, then give the command again: the volume stays"));
            }
        }
        Ok(())
    }

    /// Sets aside what carries the old names and is neither the old nor what an earlier call
    /// brought back.
    async fn make_room(&self, ctx: &Ctx, kept: &Kept, other: &str) -> Result<()> {
        let now = self.collect(ctx, other, &kept.claim_names()).await?;
        let run = ctx.run.to_string();
        let stranger =
            |uid: Option<&str>, by: Option<&String>| !kept.holds(uid) && by != Some(&run);
        let back = |kept: &KeptVolume| {
            now.volumes.iter().any(|now| {
                now.claim.name_any() == kept.claim.name_any()
                    && volume_of(&now.claim) == volume_of(&kept.claim)
            })
        };
        // On the old volumes stands the old server, whoever made its objects.
        if !kept.volumes.is_empty() && kept.volumes.iter().all(back) {
            return Ok(());
        }
        let mut strangers = now;
        strangers.objects.retain(|o| {
            stranger(
                o.metadata.uid.as_deref(),
                o.annotations().get(REINSTATED_BY),
            )
        });
        strangers.volumes.retain(|v| {
            let uid = v.claim.metadata.uid.as_deref();
            let stranger = stranger(uid, v.claim.annotations().get(REINSTATED_BY));
            stranger && !kept.is_bystander(&v.claim)
        });
        let written = Kept::read(&self.store, &ctx.run, Side::New).await?;
        if written.is_none() && strangers.objects.is_empty() && strangers.volumes.is_empty() {
            return Ok(());
        }
        let strangers = strangers.write(&self.store, &ctx.run, Side::New).await?;
        self.set_aside(ctx, &strangers).await?;
        for volume in strangers.volume_names() {
            ctx.events
                .warn(format!("volume {volume} of the new server is kept as well"));
        }
        Ok(())
    }

    /// Gives the volume to a claim of the old name: the volume's reference loses the old claim's
    /// uid, and the claim names the volume
    /// (<https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reserving-a-persistentvolume>).
    async fn reclaim(&self, ctx: &Ctx, kept: &KeptVolume) -> Result<()> {
        let Some(volume) = &kept.volume else {
            return Ok(());
        };
        let (name, claim) = (volume.name_any(), kept.claim.name_any());
        let now = self.volume(ctx, &name).await?.ok_or_else(|| gone(&name))?;
        if now.metadata.uid != volume.metadata.uid {
            return Err(gone(&name));
        }
        let api = self.claims_api();
        let what = format!("could not read claim {claim:?}");
        let there = self.cluster.ask(ctx, &what, || api.get_opt(&claim)).await?;
        if let Some(there) = &there {
            let going = there.metadata.deletion_timestamp.is_some();
            let uid = there.metadata.uid.as_deref();
            if going {
                let resource = ApiResource::erase::<PersistentVolumeClaim>(&());
                self.remove(ctx, &resource, &claim, uid.unwrap_or_default())
                    .await?;
            } else if volume_of(there) == Some(&name) {
                let owners = kept.claim.owner_references();
                self.give_owners_to(ctx, &claim_resource(), &claim, owners)
                    .await?;
                return self.await_bound(ctx, &claim, &name).await;
            } else {
                return Err(not_on(&claim, &name));
            }
        }
        if claimed_by(&now).is_some() {
            let reference = json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": self.cluster.namespace(), "name": claim,
                "uid": null, "resourceVersion": null,
            });
            let patch = json!({
                "metadata": { "uid": volume.metadata.uid },
                "spec": { "claimRef": reference },
            });
            self.patch_volume(ctx, &name, patch).await?;
        }
        let mut anew = DynamicObject::new(&claim, &claim_resource());
        let value = serde_json::to_value(&kept.claim)
            .map_err(|e| Error::internal("a claim has no JSON form").caused_by(e))?;
        anew.data = json!({ "spec": value["spec"] });
        anew.metadata.labels = kept.claim.metadata.labels.clone();
        anew.metadata.annotations = kept.claim.metadata.annotations.clone();
        anew.annotations_mut().retain(|key, _| !is_binding(key));
        anew.metadata.owner_references = kept.claim.metadata.owner_references.clone();
        ctx.events
            .info(format!("claim {claim} gets volume {name} back"));
        self.create(ctx, &claim_resource(), anew).await?;
        self.await_bound(ctx, &claim, &name).await
    }

    async fn await_bound(&self, ctx: &Ctx, claim: &str, volume: &str) -> Result<()> {
        let api = self.claims_api();
        let wakes = Wakes::default().on(api.clone(), named(claim));
        let what = format!("the binding of claim {claim}");
        self.cluster
            .wait(ctx, &what, self.limit, wakes, || async {
                let now = self.cluster.ask(ctx, &what, || api.get(claim)).await?;
                // One that somebody else made a moment before gets the volume as well: it is kept for that name.
                if volume_of(&now).is_some_and(|other| other != volume) {
                    return Err(not_on(claim, volume));
                }
                let phase = now.status.and_then(|s| s.phase).unwrap_or_default();
                Ok(match &*phase {
                    "Bound" => Seen::Done(()),
                    other => Seen::NotYet(format!("it is {other}")),
                })
            })
            .await
    }

    /// Makes the object as it was; one that was never deleted is started again.
    async fn recreate(&self, ctx: &Ctx, object: &DynamicObject) -> Result<()> {
        let (resource, name) = (resource_of(object)?, object.name_any());
        if resource.kind == "Job" {
            ctx.events
                .info(format!("job/{name} is not made again; it has had its run"));
            return Ok(());
        }
        if let Some(now) = self.look(ctx, &resource, &name).await? {
            if now.metadata.deletion_timestamp.is_none() {
                self.give_owners_to(ctx, &resource, &name, object.owner_references())
                    .await?;
                return self.start(ctx, object).await;
            }
            let uid = now.metadata.uid.as_deref().unwrap_or_default();
            self.remove(ctx, &resource, &name, uid).await?;
        }
        ctx.events
            .info(format!("making {} again", shown(&resource, &name)));
        self.create(ctx, &resource, as_new(object)).await
    }

    /// Scales what is there to what it was.
    async fn start(&self, ctx: &Ctx, object: &DynamicObject) -> Result<()> {
        let Some(workload) = workload_of(object) else {
            return Ok(());
        };
        let replicas = object.data["spec"]["replicas"].as_i64().unwrap_or(1);
        let state = WorkloadState {
            running: replicas > 0,
            detail: json!({ "replicas": replicas }),
        };
        self.handle(&workload).start(ctx, &state).await
    }

    /// Makes an object, with those of its owners that are there. Of a Service whose node port is another's by
    /// now, another number is better than no Service: it is told.
    async fn create(
        &self,
        ctx: &Ctx,
        resource: &ApiResource,
        mut object: DynamicObject,
    ) -> Result<()> {
        let owners = self.owners_now(ctx, object.owner_references()).await?;
        object.metadata.owner_references = (!owners.is_empty()).then_some(owners);
        let run = ctx.run.to_string();
        object
            .annotations_mut()
            .insert(REINSTATED_BY.to_owned(), run);
        while let Some(at) = self.try_create(ctx, resource, &object).await? {
            let port = take_node_port(&mut object, at).unwrap_or_default();
            ctx.events.warn(format!(
                "{}: node port {port} cannot be had any more, so it gets another one; who comes \
                 by that number has to be told",
                shown(resource, &object.name_any())
            ));
        }
        Ok(())
    }

    /// Makes an object, or says which of its ports has a node port that the cluster does not give.
    async fn try_create(
        &self,
        ctx: &Ctx,
        resource: &ApiResource,
        object: &DynamicObject,
    ) -> Result<Option<usize>> {
        let api = self.cluster.api_of(resource);
        let params = PostParams::default();
        let create = || async {
            match api.create(&params, object).await {
                // The first try came through and its answer was lost; it was looked for before.
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
                Err(kube::Error::Api(status)) => match refused_port(&status, object) {
                    Some(at) => Ok(Some(at)),
                    None => Err(kube::Error::Api(status)),
                },
                made => made.map(|_| None),
            }
        };
        let what = format!("could not make {}", shown(resource, &object.name_any()));
        self.cluster.ask(ctx, &what, create).await
    }

    /// Gives the volumes the reclaim policy back that they had.
    pub(super) async fn unretain(&self, ctx: &Ctx, kept: &Kept) -> Result<()> {
        for volume in kept.volumes.iter().filter_map(|v| v.volume.as_ref()) {
            let patch = json!({
                "metadata": { "uid": volume.metadata.uid, "annotations": { RETIRED_BY: null } },
                "spec": { "persistentVolumeReclaimPolicy": super::aside::policy(volume) },
            });
            self.patch_volume(ctx, &volume.name_any(), patch).await?;
        }
        Ok(())
    }
}

fn not_on(claim: &str, volume: &str) -> Error {
    Error::refused(format!(
        "claim {claim:?} is there again and not on volume {volume}"
    ))
    .hint("something makes it again: find out what, and delete it, then go on")
}

pub(super) fn claim_resource() -> ApiResource {
    ApiResource::erase::<PersistentVolumeClaim>(&())
}

/// Which port of a Service it is, if what was refused is its node port.
fn refused_port(status: &Status, object: &DynamicObject) -> Option<usize> {
    let causes = status.details.as_ref().map(|d| &d.causes[..]);
    causes.unwrap_or_default().iter().find_map(|cause| {
        let at = cause.field.strip_prefix("spec.ports[")?;
        let at = at.strip_suffix("].nodePort")?.parse().ok()?;
        object.data["spec"]["ports"][at]["nodePort"].as_i64()?;
        Some(at)
    })
}

/// Takes the node port off one of the ports of a Service.
fn take_node_port(service: &mut DynamicObject, at: usize) -> Option<Value> {
    let port = service.data["spec"]["ports"].get_mut(at)?;
    port.as_object_mut()?.remove("nodePort")
}

/// Annotations by which controllers remember how a claim was bound.
fn is_binding(key: &str) -> bool {
    key.starts_with("pv.kubernetes.io/")
        || key.starts_with("volume.kubernetes.io/")
        || key == "volume.beta.kubernetes.io/storage-provisioner"
}

/// The object without what the API server and its controllers have added.
fn as_new(object: &DynamicObject) -> DynamicObject {
    let mut anew = DynamicObject {
        types: object.types.clone(),
        metadata: Default::default(),
        data: object.data.clone(),
    };
    anew.metadata.name = object.metadata.name.clone();
    anew.metadata.labels = object.metadata.labels.clone();
    anew.metadata.annotations = object.metadata.annotations.clone();
    anew.metadata.owner_references = object.metadata.owner_references.clone();
    if let Value::Object(data) = &mut anew.data {
        data.remove("status");
        if let Some(Value::Object(spec)) = data.get_mut("spec")
            && spec.get("clusterIP").is_some_and(|ip| ip != "None")
        {
            // Another Service may have the address by now. The port for health checks is between the cluster and
            // its load balancer, which looks it up; node ports are kept, for people know them by heart.
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
            spec.remove("healthCheckNodePort");
        }
    }
    anew
}
