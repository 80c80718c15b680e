//! A database server whose volumes make room for new ones, and come back.
//!
//! Before anything goes, every object is written down in the store and every PersistentVolume is
//! set to `Retain`, so that neither the claim's end nor the death of whoever began it can take the
//! data along. What is deleted is deleted by its uid. The old server is brought back from what was
//! written down: each volume is given to a new claim of the old name, and the objects are made anew.
//!
//! Manifests may hold values that are secrets in their environment; what is written down is as
//! secret as they are.

mod aside;
mod back;
mod collect;
mod facts;
mod kept;
mod lock;
mod manifests;
mod owners;
mod placed;
mod provision;
mod purge;
mod removal;
mod teardown;

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{ApiResource, DynamicObject};

pub use lock::ServerLock;
pub use manifests::check_manifest;
pub use provision::ServerProvision;
pub(super) use removal::claims_of;
pub use teardown::ServerTeardown;

use super::wait::{Seen, Wakes};
use super::{Cluster, ObjectRef, PodChoice};
use crate::error::Result;
use crate::event::Ctx;
use crate::store::Store;

/// The annotation of what a run made, until it is in service.
const MADE_BY: &str = "rebuild-db.github.io/made-by";

/// The annotation of what a run brought back, and of volumes that it keeps.
const REINSTATED_BY: &str = "rebuild-db.github.io/reinstated-by";
const RETIRED_BY: &str = "rebuild-db.github.io/retired-by";

/// Who changes fields, as `kubectl` shows it.
const FIELD_MANAGER: &str = "rebuild";

/// A database server in a cluster, and what takes its place.
#[derive(Clone)]
pub struct ServerReplacement {
    /// The cluster.
    pub cluster: Cluster,
    /// The pod that the database answers in.
    pub pod: PodChoice,
    /// What goes, in this order. The claims of their pods go after them.
    pub objects: Vec<ObjectRef>,
    /// More claims that go.
    pub claims: Vec<String>,
    /// Manifests of what takes their place.
    pub manifests: Vec<PathBuf>,
    /// Finalizers that may be taken off what waits for them too long.
    pub remove_finalizers: Vec<String>,
    /// How long each object may take to go or to come.
    pub limit: Duration,
    /// Where it is written down what there was.
    pub store: Store,
}

impl ServerReplacement {
    fn claims_api(&self) -> Api<PersistentVolumeClaim> {
        self.cluster.api()
    }

    /// Waits until a server answers `ask`, whose refusals end the wait.
    async fn await_answer<T, F>(&self, ctx: &Ctx, what: &str, ask: impl Fn() -> F) -> Result<()>
    where
        F: Future<Output = Result<T>>,
    {
        let look = || async { Seen::of_answer(ask().await) };
        self.cluster
            .wait(ctx, what, self.limit, Wakes::default(), look)
            .await
    }

    /// The object as it is now, or nothing.
    async fn look(
        &self,
        ctx: &Ctx,
        resource: &ApiResource,
        name: &str,
    ) -> Result<Option<DynamicObject>> {
        let api = self.cluster.api_of(resource);
        let what = format!("could not read {} {name:?}", resource.kind);
        self.cluster.ask(ctx, &what, || api.get_opt(name)).await
    }
}
