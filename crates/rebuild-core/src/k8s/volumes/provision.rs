//! The new server, and the database in it.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::aside::{resource_of, uid_of, workload_of};
use super::kept::{Kept, Side};
use super::removal::shown;
use super::{FIELD_MANAGER, MADE_BY, ServerLock, ServerReplacement};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::Identity;
use crate::traits::{Provision, ProvisionRequest};

/// Stands for the system identifier of a server that has not answered yet.
const NO_SERVER: &str = "not answering yet";

/// [`Provision`] of a whole server: by manifests, or by what an earlier step has made under the
/// names that went. Then the database in it is made as on any server.
pub struct ServerProvision {
    replacement: ServerReplacement,
    database: Arc<dyn Provision>,
    lock: Arc<ServerLock>,
}

impl ServerProvision {
    /// By `replacement`, where `database` makes the database in the new server.
    pub fn new(
        replacement: ServerReplacement,
        database: Arc<dyn Provision>,
        lock: Arc<ServerLock>,
    ) -> Self {
        Self {
            replacement,
            database,
            lock,
        }
    }

    async fn kept(&self, ctx: &Ctx) -> Result<Kept> {
        let kept = Kept::read(&self.replacement.store, &ctx.run, Side::Old).await?;
        kept.ok_or_else(|| Error::internal("no server was set aside before a new one is made"))
    }

    /// What stands under the names that went, and is not what went.
    async fn newcomers(&self, ctx: &Ctx) -> Result<Kept> {
        let old = self.kept(ctx).await?;
        let mut now = self
            .replacement
            .collect(ctx, "", &old.claim_names())
            .await?;
        now.objects
            .retain(|o| !old.holds(o.metadata.uid.as_deref()));
        now.volumes.retain(|v| {
            let went = old.holds(v.claim.metadata.uid.as_deref());
            !went && !old.is_bystander(&v.claim)
        });
        Ok(now)
    }

    /// Marks what another step made, as the manifests' objects are.
    async fn mark(&self, ctx: &Ctx, objects: &[DynamicObject]) -> Result<()> {
        for object in objects {
            if object.annotations().get(MADE_BY) != Some(&ctx.run.to_string()) {
                let value = json!(ctx.run.to_string());
                self.annotate(ctx, object, value).await?;
            }
        }
        Ok(())
    }

    async fn annotate(
        &self,
        ctx: &Ctx,
        object: &DynamicObject,
        value: serde_json::Value,
    ) -> Result<()> {
        let (resource, name) = (resource_of(object)?, object.name_any());
        let patch = json!({ "metadata": {
            "uid": object.metadata.uid, "annotations": { MADE_BY: value },
        }});
        let (patch, params) = (
            Patch::Merge(patch),
            PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            },
        );
        let api = self.replacement.cluster.api_of(&resource);
        let what = format!("could not mark {}", shown(&resource, &name));
        let annotate = || api.patch(&name, &params, &patch);
        let asked = self.replacement.cluster.ask(ctx, &what, annotate);
        asked.await.map(|_| ())
    }

    /// Waits until a server answers that is not the one that went.
    async fn await_server(&self, ctx: &Ctx, request: &ProvisionRequest) -> Result<()> {
        let old = self.kept(ctx).await?.server;
        let ask = || async {
            match self.database.look(ctx, &request.name).await? {
                Some(found) if found.server == old => Err(Error::refused(format!(
                    "{found} answers, which is on the server that was set aside"
                ))),
                _ => Ok(()),
            }
        };
        let what = "the first answer of the new server";
        self.replacement.await_answer(ctx, what, ask).await
    }
}

#[async_trait]
impl Provision for ServerProvision {
    /// The database in the new server, or what there is of that server.
    async fn look(&self, ctx: &Ctx, name: &str) -> Result<Option<Identity>> {
        let run = ctx.run.to_string();
        let marked = |o: &&DynamicObject| o.annotations().get(MADE_BY) == Some(&run);
        let newcomers = self.newcomers(ctx).await?;
        let Some(made) = newcomers.objects.iter().find(marked) else {
            return Ok(None);
        };
        Ok(Some(match self.database.look(ctx, name).await {
            Ok(Some(found)) => found,
            _ => Identity {
                server: NO_SERVER.to_owned(),
                name: name.to_owned(),
                uid: uid_of(made)?.to_owned(),
            },
        }))
    }

    async fn provision(&self, ctx: &Ctx, request: &ProvisionRequest) -> Result<Identity> {
        self.replacement.apply(ctx).await?;
        let newcomers = self.newcomers(ctx).await?.objects;
        if !newcomers.iter().any(|o| workload_of(o).is_some()) {
            return Err(Error::refused(
                "nothing stands in the place of the server that was set aside",
            )
            .hint("its manifests, or a step before this one, make objects of the same names"));
        }
        self.mark(ctx, &newcomers).await?;
        for workload in newcomers.iter().filter_map(workload_of) {
            let limit = self.replacement.limit;
            let cluster = &self.replacement.cluster;
            cluster.wait_for_rollout(ctx, &workload, limit).await?;
        }
        self.await_server(ctx, request).await?;
        self.lock.arrive(ctx).await?;
        // What it is to be like is known from the plan; the old one is not there to be read.
        let request = ProvisionRequest {
            name: request.name.clone(),
            like: None,
        };
        self.database.provision(ctx, &request).await
    }

    async fn discard(&self, ctx: &Ctx, made: &Identity) -> Result<()> {
        let run = ctx.run.to_string();
        let newcomers = self.newcomers(ctx).await?;
        let ours = |o: &DynamicObject| o.annotations().get(MADE_BY) == Some(&run);
        if let Some(other) = newcomers.objects.iter().find(|o| !ours(o)) {
            let shown = shown(&resource_of(other)?, &other.name_any());
            return Err(Error::refused(format!(
                "{shown} does not carry the mark of {}, so {made} is in service or somebody \
                 else's; it was not deleted",
                ctx.run
            )));
        }
        let mut claims = claim_objects(&newcomers);
        if newcomers.objects.is_empty() {
            // An earlier call has marked the claims before the objects went.
            claims.retain(ours);
        } else {
            self.mark(ctx, &claims).await?;
        }
        self.lock.leave(ctx).await?;
        for object in newcomers.objects.iter().chain(&claims) {
            let (resource, name) = (resource_of(object)?, object.name_any());
            self.replacement
                .remove(ctx, &resource, &name, uid_of(object)?)
                .await?;
        }
        Ok(())
    }

    async fn settle<'a>(
        &self,
        ctx: &Ctx,
        made: &Identity,
        _like: Option<&'a Identity>,
    ) -> Result<()> {
        self.database.settle(ctx, made, None).await?;
        let run = ctx.run.to_string();
        for object in self.newcomers(ctx).await?.objects {
            if object.annotations().get(MADE_BY) == Some(&run) {
                self.annotate(ctx, &object, serde_json::Value::Null).await?;
            }
        }
        Ok(())
    }
}

/// The claims as objects like any others.
fn claim_objects(kept: &Kept) -> Vec<DynamicObject> {
    let resource = ApiResource::erase::<PersistentVolumeClaim>(&());
    let claims = kept.volumes.iter().map(|v| {
        let mut claim = DynamicObject::new(&v.claim.name_any(), &resource);
        claim.metadata = v.claim.metadata.clone();
        claim
    });
    claims.collect()
}
