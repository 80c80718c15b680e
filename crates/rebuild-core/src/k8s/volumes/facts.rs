//! What would go, what would come, and what stands in the way: for a plan.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use kube::discovery::Scope;

use super::ServerReplacement;
use super::aside::{phase, policy};
use super::kept::{Kept, KeptVolume};
use super::manifests::read;
use super::removal::shown;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::k8s::ObjectKind;
use crate::model::{KeptVolumeFacts, ReplacedServer};

/// What is done to the kinds that go and come back.
const MAKE_AND_DELETE: [&str; 5] = ["get", "list", "create", "patch", "delete"];

/// What a run does to objects of a kind, or to a part of them.
struct Kind {
    group: String,
    plural: String,
    namespaced: bool,
    verbs: &'static [&'static str],
}

impl Kind {
    fn new(group: &str, plural: &str, namespaced: bool, verbs: &'static [&'static str]) -> Self {
        Self {
            group: group.to_owned(),
            plural: plural.to_owned(),
            namespaced,
            verbs,
        }
    }
}

impl ServerReplacement {
    /// What is replaced, and by what.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// The API server could not be asked; a manifest cannot be used. What does not let the server
    /// be replaced is in the answer.
    pub async fn facts(&self, ctx: &Ctx) -> Result<ReplacedServer> {
        let mut server = ReplacedServer {
            objects: self.objects.iter().map(ToString::to_string).collect(),
            ..ReplacedServer::default()
        };
        let obstacle = |e: Error| match e.kind() {
            ErrorKind::Refused | ErrorKind::Server => Ok(e.chain()),
            _ => Err(e),
        };
        match self.collect_whole(ctx, "").await {
            Ok(kept) => {
                server.volumes = kept.volumes.iter().map(kept_facts).collect();
                server.addresses = addresses(&kept);
                server.obstacles.extend(unsafe_volumes(&kept));
                let in_the_way = self.claims_in_the_way(ctx, &kept).await?;
                server.obstacles.extend(in_the_way);
            }
            Err(e) => server.obstacles.push(obstacle(e)?),
        }
        server.obstacles.extend(self.missing_rights(ctx).await?);
        self.manifest_facts(ctx, &mut server).await?;
        Ok(server)
    }

    /// Claims that are not the old server's, and that the new one would start on.
    async fn claims_in_the_way(&self, ctx: &Ctx, kept: &Kept) -> Result<Vec<String>> {
        let going = kept.claim_names();
        let mut found = Vec::new();
        for file in &self.manifests {
            for set in read(file)? {
                let templates = set.data["spec"]["volumeClaimTemplates"].as_array();
                let templates = templates.into_iter().flatten();
                let templates = templates.filter_map(|t| t["metadata"]["name"].as_str());
                let templates: Vec<String> = templates.map(ToOwned::to_owned).collect();
                let name = set.name_any();
                let claims = self.claims_from(ctx, &name, templates).await?;
                found.extend(claims.into_iter().filter(|claim| !going.contains(claim)));
            }
        }
        let told = |claim: String| {
            format!(
                "claim {claim:?} is there already, and the new server would start on what is on its volume"
            )
        };
        Ok(found.into_iter().map(told).collect())
    }

    /// What this account may not do, of all that the run would do.
    async fn missing_rights(&self, ctx: &Ctx) -> Result<Vec<String>> {
        let mut kinds: Vec<Kind> = vec![
            Kind::new("", "persistentvolumes", false, &["get", "patch"]),
            Kind::new("", "persistentvolumeclaims", true, &MAKE_AND_DELETE),
            Kind::new("", "pods", true, &["get", "list", "watch"]),
        ];
        for object in &self.objects {
            let resource = object.kind.resource();
            let (group, plural) = (&*resource.group, &*resource.plural);
            kinds.push(Kind::new(group, plural, true, &MAKE_AND_DELETE));
            if object.workload().is_some() {
                let scale = format!("{plural}/scale");
                kinds.push(Kind::new(group, &scale, true, &["patch"]));
            }
        }
        for file in &self.manifests {
            for object in read(file)? {
                let (resource, known) = self.resource_of(ctx, file, &object).await?;
                let namespaced = known.scope == Scope::Namespaced;
                let (group, plural) = (&*resource.group, &*resource.plural);
                kinds.push(Kind::new(group, plural, namespaced, &["get", "patch"]));
            }
        }
        let mut missing = Vec::new();
        for kind in &kinds {
            for verb in kind.verbs {
                let lacks = format!("this account may not {verb} {}", kind.plural);
                if !missing.contains(&lacks) && !self.may(ctx, kind, verb).await? {
                    missing.push(lacks);
                }
            }
        }
        Ok(missing)
    }

    /// As `kubectl auth can-i` asks.
    async fn may(&self, ctx: &Ctx, kind: &Kind, verb: &str) -> Result<bool> {
        let namespace = kind.namespaced.then(|| self.cluster.namespace().to_owned());
        let (resource, subresource) = match kind.plural.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (&*kind.plural, None),
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some(kind.group.clone()),
                    resource: Some(resource.to_owned()),
                    subresource,
                    verb: Some(verb.to_owned()),
                    namespace,
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = self.cluster.wide();
        let params = PostParams::default();
        let what = "could not ask what this account may do";
        let ask = || api.create(&params, &review);
        let answer = self.cluster.ask(ctx, what, ask).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    async fn manifest_facts(&self, ctx: &Ctx, server: &mut ReplacedServer) -> Result<()> {
        for file in &self.manifests {
            for object in read(file)? {
                let name = object.name_any();
                let (resource, _) = self.resource_of(ctx, file, &object).await?;
                let shown = shown(&resource, &name);
                if !self.is_replaced(&object) && self.look(ctx, &resource, &name).await?.is_some() {
                    server.changed.push(shown.clone());
                }
                server.manifests.push(shown);
            }
        }
        Ok(())
    }
}

/// A volume that is failing, or whose claim is going already, will not come back.
fn unsafe_volumes(kept: &Kept) -> Vec<String> {
    let mut found = Vec::new();
    for KeptVolume { claim, volume } in &kept.volumes {
        if claim.metadata.deletion_timestamp.is_some() {
            found.push(format!(
                "claim {} is being deleted already",
                claim.name_any()
            ));
        }
        if let Some(volume) = volume.as_ref().filter(|v| phase(v) != "Bound") {
            let (name, phase) = (volume.name_any(), phase(volume));
            found.push(format!("volume {name} is {phase} and not Bound"));
        }
    }
    found
}

fn kept_facts(kept: &KeptVolume) -> KeptVolumeFacts {
    let volume = kept.volume.as_ref();
    let spec = volume.and_then(|v| v.spec.as_ref());
    let size = spec.and_then(|s| s.capacity.as_ref()?.get("storage"));
    KeptVolumeFacts {
        claim: kept.claim.name_any(),
        volume: volume.map(ResourceExt::name_any).unwrap_or_default(),
        size: size.map_or_else(|| "unknown".to_owned(), |size| size.0.clone()),
        reclaim_policy: volume.and_then(policy).unwrap_or("unknown").to_owned(),
    }
}

/// Services whose address was given by the cluster or its provider.
fn addresses(kept: &Kept) -> Vec<String> {
    let service = ObjectKind::Service.resource();
    let is_service = |kind: &str| kind == service.kind;
    kept.objects
        .iter()
        .filter(|o| o.types.as_ref().is_some_and(|t| is_service(&t.kind)))
        .filter(|o| o.data["spec"]["clusterIP"] != "None")
        .map(|o| shown(&service, &o.name_any()))
        .collect()
}
