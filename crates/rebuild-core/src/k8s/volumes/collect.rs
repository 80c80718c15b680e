//! What belongs to a server: its objects, and the claims of its pods with their volumes.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};

use super::ServerReplacement;
use super::kept::{Kept, KeptVolume};
use super::removal::claims_of;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::k8s::pods::{has_ended, labels_of_job};
use crate::k8s::{ObjectKind, ObjectRef};

impl ServerReplacement {
    /// What there is under the names that go, in the order they go, with the claims of the pods and
    /// those called like `more`.
    ///
    /// # Errors
    /// A refusal if a claim is also somebody else's; this account may not look.
    pub(super) async fn collect(&self, ctx: &Ctx, server: &str, more: &[String]) -> Result<Kept> {
        let mut objects = Vec::new();
        for object in &self.objects {
            let found = self
                .look(ctx, &object.kind.resource(), &object.name)
                .await?;
            objects.extend(found);
        }
        let mut names = self.claim_names(ctx, &objects).await?;
        names.extend(more.iter().cloned());
        let mut volumes = Vec::new();
        for name in &names {
            volumes.extend(self.claimed(ctx, name).await?);
        }
        Ok(Kept::new(server, objects, volumes))
    }

    /// As [`collect`](Self::collect), for a server that is to go and to come back: with
    /// everything there, nothing that makes it again by itself, and the data on volumes.
    ///
    /// # Errors
    /// A refusal if it is not so.
    pub(super) async fn collect_whole(&self, ctx: &Ctx, server: &str) -> Result<Kept> {
        let mut kept = self.collect(ctx, server, &[]).await?;
        for object in &self.objects {
            match kept.objects.iter().find(|found| object.names(found)) {
                // A migration Job may never have run; a Service may have been forgotten.
                None if !object.runs_pods() => {
                    ctx.events.info(format!("there is no {object}"));
                }
                None => return Err(Error::refused(format!("there is no {object}"))),
                Some(found) => refuse_owned(object, found)?,
            }
        }
        for kept in &kept.volumes {
            if kept.volume.is_none() {
                return Err(Error::refused(format!(
                    "claim {:?} has no volume that could be kept",
                    kept.claim.name_any()
                )));
            }
        }
        self.require_answering_pod(ctx, &kept).await?;
        self.refuse_shared(ctx, &kept).await?;
        for claim in self.all_claims(ctx).await? {
            if !kept.holds(claim.metadata.uid.as_deref()) {
                kept.bystanders.extend(claim.metadata.uid);
            }
        }
        Ok(kept)
    }

    async fn all_claims(&self, ctx: &Ctx) -> Result<Vec<PersistentVolumeClaim>> {
        let api = self.claims_api();
        let what = "could not list the claims";
        let params = ListParams::default();
        let all = self.cluster.ask(ctx, what, || api.list(&params)).await?;
        Ok(all.items)
    }

    /// The database's own pod must be one of those that go, and its data be on what is kept.
    async fn require_answering_pod(&self, ctx: &Ctx, kept: &Kept) -> Result<()> {
        let (name, _) = crate::k8s::forward::find(&self.cluster, ctx, &self.pod).await?;
        let api = self.cluster.api::<Pod>();
        let what = format!("could not read pod {name}");
        let pod = self.cluster.ask(ctx, &what, || api.get(&name)).await?;
        let is_kept = |claim: &str| kept.volumes.iter().any(|v| v.claim.name_any() == claim);
        let claims: Vec<&str> = claims_of(&pod).collect();
        if claims.is_empty() || !claims.iter().all(|claim| is_kept(claim)) {
            return Err(Error::refused(format!(
                "the database runs in pod {name}, whose claims are {claims:?}: not on volumes that \
                 go with {}",
                self.shown_objects()
            ))
            .hint("name the workload of that pod in target.kubernetes.replace.objects"));
        }
        Ok(())
    }

    /// A claim that another workload mounts cannot go, and is not this server's alone.
    async fn refuse_shared(&self, ctx: &Ctx, kept: &Kept) -> Result<()> {
        let mut own = BTreeSet::new();
        for object in &self.objects {
            own.extend(
                self.pods_of(ctx, object)
                    .await?
                    .iter()
                    .map(ResourceExt::name_any),
            );
        }
        for kept in &kept.volumes {
            let claim = kept.claim.name_any();
            let users = self.users_of(ctx, &claim).await?;
            if let Some(other) = users.iter().find(|pod| !own.contains(*pod)) {
                return Err(Error::refused(format!(
                    "claim {claim:?} is mounted by pod {other} as well, which is none of {}",
                    self.shown_objects()
                ))
                .hint("stop what that pod belongs to, or name it in replace.objects"));
            }
        }
        Ok(())
    }

    fn shown_objects(&self) -> String {
        let names: Vec<String> = self.objects.iter().map(ToString::to_string).collect();
        names.join(", ")
    }

    async fn pods_of(&self, ctx: &Ctx, object: &ObjectRef) -> Result<Vec<Pod>> {
        let labels = match (object.kind, object.workload()) {
            (_, Some(workload)) => self.cluster.labels_of_pods(ctx, &workload).await?,
            (ObjectKind::Job, None) => labels_of_job(&object.name),
            (_, None) => return Ok(Vec::new()),
        };
        let mut pods = self.cluster.pods(ctx, &labels).await?;
        pods.retain(|pod| !has_ended(pod));
        Ok(pods)
    }

    /// The claims of the pods, those that a StatefulSet has made for pods that are not there, and
    /// those that the spec names.
    async fn claim_names(&self, ctx: &Ctx, objects: &[DynamicObject]) -> Result<BTreeSet<String>> {
        let mut names: BTreeSet<String> = self.claims.iter().cloned().collect();
        let there = |object: &&ObjectRef| objects.iter().any(|found| object.names(found));
        for object in self.objects.iter().filter(there) {
            for pod in self.pods_of(ctx, object).await? {
                names.extend(claims_of(&pod).map(ToOwned::to_owned));
            }
            if object.kind == ObjectKind::StatefulSet {
                names.extend(self.template_claims(ctx, &object.name).await?);
            }
        }
        Ok(names)
    }

    /// `<template>-<set>-<ordinal>`
    /// (<https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#stable-storage>).
    async fn template_claims(&self, ctx: &Ctx, set: &str) -> Result<Vec<String>> {
        let api = self.cluster.api::<StatefulSet>();
        let what = format!("could not read statefulset/{set}");
        let found = self.cluster.ask(ctx, &what, || api.get_opt(set)).await?;
        let templates = found
            .and_then(|found| found.spec?.volume_claim_templates)
            .unwrap_or_default();
        let templates = templates.iter().map(ResourceExt::name_any);
        self.claims_from(ctx, set, templates.collect()).await
    }

    /// The claims that a StatefulSet would take for its own, whoever made them.
    pub(super) async fn claims_from(
        &self,
        ctx: &Ctx,
        set: &str,
        templates: Vec<String>,
    ) -> Result<Vec<String>> {
        let stems: Vec<String> = templates
            .iter()
            .map(|template| format!("{template}-{set}-"))
            .collect();
        let all = self.all_claims(ctx).await?;
        let is_of = |name: &String| {
            stems.iter().any(|stem| {
                let ordinal = name.strip_prefix(&**stem);
                ordinal.is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
            })
        };
        let names = all.iter().map(ResourceExt::name_any);
        Ok(names.filter(is_of).collect())
    }

    async fn claimed(&self, ctx: &Ctx, name: &str) -> Result<Option<KeptVolume>> {
        let api = self.claims_api();
        let what = format!("could not read claim {name:?}");
        let Some(claim) = self.cluster.ask(ctx, &what, || api.get_opt(name)).await? else {
            return Ok(None);
        };
        // One that a pod owns is gone with its pod, and holds nothing that lasts.
        if claim
            .owner_references()
            .iter()
            .any(|owner| owner.kind == "Pod")
        {
            return Ok(None);
        }
        let volume = match volume_of(&claim) {
            Some(volume) => self.volume(ctx, volume).await?,
            None => None,
        };
        let volume = volume.filter(|volume| claimed_by(volume) == claim.metadata.uid.as_deref());
        Ok(Some(KeptVolume { claim, volume }))
    }

    pub(super) async fn volume(&self, ctx: &Ctx, name: &str) -> Result<Option<PersistentVolume>> {
        let api = self.cluster.wide::<PersistentVolume>();
        let what = format!("could not read volume {name:?}");
        self.cluster.ask(ctx, &what, || api.get_opt(name)).await
    }
}

/// The volume that a claim is bound to, or asks for.
pub(super) fn volume_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    let name = claim.spec.as_ref()?.volume_name.as_deref()?;
    (!name.is_empty()).then_some(name)
}

/// The uid of the claim that a volume is kept for.
pub(super) fn claimed_by(volume: &PersistentVolume) -> Option<&str> {
    volume.spec.as_ref()?.claim_ref.as_ref()?.uid.as_deref()
}

/// What an operator manages, it makes again as soon as it is gone.
fn refuse_owned(object: &ObjectRef, found: &DynamicObject) -> Result<()> {
    let owners = found.owner_references();
    let controller = owners.iter().find(|owner| owner.controller == Some(true));
    match controller {
        Some(owner) if object.kind != ObjectKind::Job => Err(Error::refused(format!(
            "{object} belongs to {} {:?}, which would make it again",
            owner.kind, owner.name
        ))
        .hint("rebuild the database alone, without target.kubernetes.replace")),
        _ => Ok(()),
    }
}
