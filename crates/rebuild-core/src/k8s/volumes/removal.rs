//! Deleting an object by its uid, and waiting until it is gone.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions,
    PropagationPolicy,
};
use serde_json::json;

use super::ServerReplacement;
use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::Ctx;
use crate::k8s::pods::has_ended;
use crate::k8s::wait::{Seen, Wakes, named};

/// The finalizer of claims that are in use
/// (<https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection>).
const CLAIM_PROTECTION: &str = "kubernetes.io/pvc-protection";

impl ServerReplacement {
    /// Deletes the object of that uid, and waits until it is gone. One that waits for finalizers
    /// which may be taken off is freed of them when the time is up.
    ///
    /// *Repeats:* one that is gone is no error. *Destroys:* that object.
    ///
    /// # Errors
    /// It does not go in time, with what it waits for.
    pub(super) async fn remove(
        &self,
        ctx: &Ctx,
        resource: &ApiResource,
        name: &str,
        uid: &str,
    ) -> Result<()> {
        let shown = shown(resource, name);
        ctx.events.info(format!("deleting {shown}"));
        let api = self.cluster.api_of(resource);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            // With it go the pods of a Job; the others have none by now.
            propagation_policy: Some(PropagationPolicy::Foreground),
            ..DeleteParams::default()
        };
        let deleting = self.cluster.delete(ctx, &shown, &api, name, &params);
        deleting.await?;
        match self.await_gone(ctx, resource, name, uid).await {
            Err(e) if e.kind() == ErrorKind::Deadline => {
                self.free(ctx, resource, name, uid, e).await?;
                self.await_gone(ctx, resource, name, uid).await
            }
            gone => gone,
        }
    }

    async fn await_gone(
        &self,
        ctx: &Ctx,
        resource: &ApiResource,
        name: &str,
        uid: &str,
    ) -> Result<()> {
        let api = self.cluster.api_of(resource);
        let wakes = Wakes::default().on(api, named(name));
        let what = format!("deleting {}", shown(resource, name));
        self.cluster
            .wait(ctx, &what, self.limit, wakes, || async {
                match self.look(ctx, resource, name).await? {
                    Some(now) if now.metadata.uid.as_deref() == Some(uid) => {
                        Ok(Seen::NotYet(self.why_it_stays(ctx, &now).await?))
                    }
                    _ => Ok(Seen::Done(())),
                }
            })
            .await
    }

    /// What an object that is deleted waits for.
    async fn why_it_stays(&self, ctx: &Ctx, now: &DynamicObject) -> Result<String> {
        let mut reasons = Vec::new();
        for finalizer in now.finalizers() {
            reasons.push(match &**finalizer {
                CLAIM_PROTECTION => {
                    let users = self.users_of(ctx, &now.name_any()).await?;
                    match &users[..] {
                        [] => format!("finalizer {finalizer}"),
                        _ => format!("finalizer {finalizer}: in use by pod {}", users.join(", ")),
                    }
                }
                other => format!("finalizer {}", clean(other)),
            });
        }
        Ok(match &reasons[..] {
            [] => "it is still there".to_owned(),
            _ => format!("it waits for {}", reasons.join(", ")),
        })
    }

    /// The pods that mount a claim and have not ended.
    pub(super) async fn users_of(&self, ctx: &Ctx, claim: &str) -> Result<Vec<String>> {
        let api = self.cluster.api::<Pod>();
        let what = "could not list the pods";
        let params = ListParams::default();
        let pods = self.cluster.ask(ctx, what, || api.list(&params)).await?;
        let uses = |pod: &&Pod| !has_ended(pod) && claims_of(pod).any(|name| name == claim);
        Ok(pods
            .iter()
            .filter(uses)
            .map(ResourceExt::name_any)
            .collect())
    }

    /// Takes the finalizers off that the spec names; `late` is what is the matter otherwise.
    async fn free(
        &self,
        ctx: &Ctx,
        resource: &ApiResource,
        name: &str,
        uid: &str,
        late: Error,
    ) -> Result<()> {
        let Some(now) = self.look(ctx, resource, name).await? else {
            return Ok(());
        };
        let may = |finalizer: &&String| self.remove_finalizers.contains(finalizer);
        let (off, left): (Vec<_>, Vec<_>) = now.finalizers().iter().partition(may);
        if off.is_empty() {
            return Err(late.hint(format!(
                "see what should have acted on it: kubectl -n {} describe {}; a finalizer that \
                 nobody acts on any more can be named in target.kubernetes.replace.remove_finalizers",
                self.cluster.namespace(),
                shown(resource, name),
            )));
        }
        ctx.events.warn(format!(
            "{} waited too long; taking off {off:?}, as the spec allows",
            shown(resource, name)
        ));
        // With the uid and the version, the change meets this object as it was seen, or none.
        let patch = json!({ "metadata": {
            "uid": uid, "resourceVersion": now.resource_version(), "finalizers": left,
        }});
        let (patch, params) = (Patch::Merge(patch), PatchParams::default());
        let api = self.cluster.api_of(resource);
        let what = format!("could not take finalizers off {}", shown(resource, name));
        let free = || async {
            match api.patch(name, &params, &patch).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                patched => patched.map(|_| ()),
            }
        };
        self.cluster.ask(ctx, &what, free).await
    }
}

/// The claims that a pod mounts.
pub(in crate::k8s) fn claims_of(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|v| Some(&*v.persistent_volume_claim.as_ref()?.claim_name))
}

/// `statefulset/db`, as `kubectl` takes it.
pub(super) fn shown(resource: &ApiResource, name: &str) -> String {
    format!("{}/{name}", resource.kind.to_lowercase())
}
