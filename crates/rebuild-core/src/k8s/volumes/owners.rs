//! The owners of what is brought back.
//!
//! The cluster deletes what has owners and none that is there, and knows them by their uids
//! (<https://kubernetes.io/docs/concepts/architecture/garbage-collection/#owners-dependents>). An owner that was
//! made again has another uid, so what names it as it was would go a moment after it came back.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::api::{ApiResource, Patch, PatchParams, TypeMeta};
use kube::core::GroupVersionKind;
use serde_json::json;

use super::aside::resource_of;
use super::back::claim_resource;
use super::kept::Kept;
use super::removal::shown;
use super::{REINSTATED_BY, ServerReplacement};
use crate::error::{Result, clean};
use crate::event::Ctx;
use crate::k8s::cluster::Found;

impl ServerReplacement {
    /// Those of `owners` that are there, by the uid that they have now if this run has made them again.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// The API server could not be asked. An owner that this account may not see is left out.
    pub(super) async fn owners_now(
        &self,
        ctx: &Ctx,
        owners: &[OwnerReference],
    ) -> Result<Vec<OwnerReference>> {
        let mut there: Vec<OwnerReference> = Vec::new();
        for owner in owners {
            let Some(uid) = self.uid_now(ctx, owner).await? else {
                continue;
            };
            if !there.iter().any(|known| known.uid == uid) {
                let owner = owner.clone();
                there.push(OwnerReference { uid, ..owner });
            }
        }
        Ok(there)
    }

    /// The uid of an owner, or nothing if it is gone, or another one of its name.
    async fn uid_now(&self, ctx: &Ctx, owner: &OwnerReference) -> Result<Option<String>> {
        let types = TypeMeta {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
        };
        let Ok(kind) = GroupVersionKind::try_from(&types) else {
            return Ok(None);
        };
        let found = match self.cluster.find(ctx, &kind, &owner.name).await? {
            Found::Object(found) => found,
            Found::Nothing => return Ok(None),
            Found::Forbidden(why) => {
                ctx.events.warn(format!(
                    "what belonged to {} {} comes back without that owner: {why}",
                    clean(&owner.kind),
                    clean(&owner.name)
                ));
                return Ok(None);
            }
        };
        let run = ctx.run.to_string();
        let made_again = found.annotations().get(REINSTATED_BY) == Some(&run);
        let is_it = made_again || found.metadata.uid.as_deref() == Some(&owner.uid);
        let stays = found.metadata.deletion_timestamp.is_none();
        Ok(found.metadata.uid.filter(|_| is_it && stays))
    }

    /// Gives everything that is back those of its owners that are there.
    ///
    /// *Repeats:* what has them is left alone. *Destroys:* nothing.
    ///
    /// # Errors
    /// An object could not be read or changed.
    pub(super) async fn give_owners(&self, ctx: &Ctx, kept: &Kept) -> Result<()> {
        for object in &kept.objects {
            let resource = resource_of(object)?;
            self.give_owners_to(
                ctx,
                &resource,
                &object.name_any(),
                object.owner_references(),
            )
            .await?;
        }
        for claim in kept.volumes.iter().map(|kept| &kept.claim) {
            self.give_owners_to(
                ctx,
                &claim_resource(),
                &claim.name_any(),
                claim.owner_references(),
            )
            .await?;
        }
        Ok(())
    }

    /// The same for one object, which had the owners `before`.
    pub(super) async fn give_owners_to(
        &self,
        ctx: &Ctx,
        resource: &ApiResource,
        name: &str,
        before: &[OwnerReference],
    ) -> Result<()> {
        if before.is_empty() {
            return Ok(());
        }
        let Some(now) = self.look(ctx, resource, name).await? else {
            return Ok(());
        };
        // What a controller has made of them since counts as well.
        let wanted = [now.owner_references(), before].concat();
        let owners = self.owners_now(ctx, &wanted).await?;
        if owners == now.owner_references() {
            return Ok(());
        }
        let patch = json!({ "metadata": {
            "uid": now.metadata.uid, "ownerReferences": owners,
        }});
        let (patch, params) = (Patch::Merge(patch), PatchParams::default());
        let api = self.cluster.api_of(resource);
        let what = format!("could not name the owners of {}", shown(resource, name));
        let give = || api.patch(name, &params, &patch);
        self.cluster.ask(ctx, &what, give).await.map(|_| ())
    }
}
