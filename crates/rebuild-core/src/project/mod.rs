//! A spec, opened: one method for each verb of the command line.
//!
//! This is the one place that knows both the engine and the backends.

mod backups;
#[cfg(feature = "cloudsql")]
mod cloudsql;
mod compose;
mod copy;
mod doers;
mod dump;
mod functions;
#[cfg(feature = "gcp")]
mod gcp;
#[cfg(any(feature = "gcp", feature = "cloudsql"))]
mod google;
mod infrastructure;
mod init;
mod into;
#[cfg(feature = "k8s")]
mod kubernetes;
mod own_backups;
mod programs;
mod proof;
mod prune;
mod refresh;
mod rehearse;
mod rules;
mod runs;
mod teardown;
mod verbs;
mod workers;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::event::{Ctx, Events};
use crate::model::{Endpoint, RunId};
use crate::postgres::Environment;
use crate::spec::Spec;
use crate::store::Store;
use crate::traits::Functions;

#[cfg(feature = "cloudsql")]
pub use cloudsql::InstanceSource;
pub use copy::copy;
pub use infrastructure::InfrastructureStatus;
pub use init::template;
pub use rehearse::{Rehearsal, RehearsedStep};
#[cfg(any(test, feature = "testing"))]
pub(crate) use rules::with_rules;
pub use verbs::Status;
pub use workers::{Addresses, ShareDone, Sharing, Workers};

/// A spec with everything it needs to act. Opening it connects to nothing but the store, and the
/// cluster that the database is in.
pub struct Project {
    spec: Spec,
    environment: Environment,
    endpoint: Endpoint,
    store: Store,
    events: Events,
    stop: CancellationToken,
    functions: Option<Arc<dyn Functions>>,
    /// Which rehearsal it is, if the database stands in for the one that the spec names.
    rehearsal: Option<RunId>,
    #[cfg(feature = "k8s")]
    reached: Option<kubernetes::Reached>,
    #[cfg(any(feature = "gcp", feature = "cloudsql"))]
    google: Option<crate::google::Google>,
    #[cfg(feature = "cloudsql")]
    instance: Option<cloudsql::Instance>,
}

impl Project {
    /// Opens the store and works out where the target is. One in a cluster is looked for, and a port
    /// of this machine leads to it for as long as the project lives.
    ///
    /// # Errors
    /// The target's address cannot be understood, or a mask or a table of a refresh; the store cannot
    /// be opened.
    pub async fn open(
        spec: Spec,
        environment: &Environment,
        events: Events,
        stop: CancellationToken,
    ) -> Result<Self> {
        #[cfg(feature = "k8s")]
        kubernetes::check(&spec)?;
        #[cfg(feature = "cloudsql")]
        cloudsql::check(&spec)?;
        let mut project = Self::assemble(spec, environment, events, stop).await?;
        project.reach().await?;
        project.reach_instance().await?;
        Ok(project)
    }

    /// The same, without a look for the cluster that the target may be in: for verbs that need
    /// nothing but the store. In a cluster, the target is then out of reach.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for the cluster.
    pub async fn open_store(
        spec: Spec,
        environment: &Environment,
        events: Events,
        stop: CancellationToken,
    ) -> Result<Self> {
        let mut project = Self::assemble(spec, environment, events, stop).await?;
        let target = &project.spec.target;
        if target.kubernetes.is_some() || target.cloudsql.is_some() {
            // Whatever listens on the usual port of this machine is another database.
            project.endpoint.port = 0;
        }
        Ok(project)
    }

    async fn assemble(
        spec: Spec,
        environment: &Environment,
        events: Events,
        stop: CancellationToken,
    ) -> Result<Self> {
        let endpoint = compose::endpoint(&spec, environment)?;
        refresh::check(&spec)?;
        check_gcp(&spec)?;
        #[cfg(any(feature = "gcp", feature = "cloudsql"))]
        let google = google::open(&spec, environment)?;
        let store = Store::open(&compose::store_url(&spec)?, environment).await?;
        Ok(Self {
            spec,
            environment: environment.clone(),
            endpoint,
            store,
            events,
            stop,
            functions: None,
            rehearsal: None,
            #[cfg(feature = "k8s")]
            reached: None,
            #[cfg(any(feature = "gcp", feature = "cloudsql"))]
            google,
            #[cfg(feature = "cloudsql")]
            instance: None,
        })
    }

    #[cfg(feature = "k8s")]
    async fn reach(&mut self) -> Result<()> {
        let ctx = self.ctx();
        let endpoint = &mut self.endpoint;
        let reached = kubernetes::Reached::open(&self.spec, &self.environment, &ctx, endpoint);
        self.reached = Box::pin(reached).await?;
        Ok(())
    }

    #[cfg(not(feature = "k8s"))]
    async fn reach(&mut self) -> Result<()> {
        match self.spec.kubernetes {
            None => Ok(()),
            Some(_) => Err(crate::Error::usage(
                "kubernetes: this program was built without the Kubernetes backend",
            )),
        }
    }

    #[cfg(feature = "cloudsql")]
    async fn reach_instance(&mut self) -> Result<()> {
        let ctx = self.ctx();
        let (google, endpoint) = (self.google.as_ref(), &mut self.endpoint);
        let opening = cloudsql::Instance::open(&self.spec, google, &ctx, endpoint);
        self.instance = Box::pin(opening).await?;
        Ok(())
    }

    #[cfg(not(feature = "cloudsql"))]
    #[allow(clippy::unused_async, reason = "there is nothing to reach")]
    async fn reach_instance(&mut self) -> Result<()> {
        match self.spec.target.cloudsql {
            None => Ok(()),
            Some(_) => Err(crate::Error::usage(
                "target.cloudsql: this program was built without the Cloud SQL backend",
            )),
        }
    }

    /// The same, with the functions that the spec may name. Without one that it names, the target
    /// can be looked at and brought back, but not rebuilt.
    #[must_use]
    pub fn with_functions(mut self, functions: Arc<dyn Functions>) -> Self {
        self.functions = Some(functions);
        self
    }

    /// The project of the spec `text` in `folder`; nobody hears of it.
    #[cfg(test)]
    async fn of_text(
        text: &str,
        folder: &std::path::Path,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let spec = crate::spec::parse(text, "rebuild.toml", folder, lookup).expect("a spec");
        let (environment, stop) = (Environment::default(), CancellationToken::new());
        let project = Self::open(spec, &environment, Events::none(), stop).await;
        project.expect("a project")
    }

    /// Where the target is.
    #[cfg(all(test, any(feature = "k8s", feature = "cloudsql")))]
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The store of backups and journals.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A context for verbs that are no run: it has an id of its own for the names of sessions, but in a
    /// rehearsal, by whose id all is found again.
    fn ctx(&self) -> Ctx {
        let id = self.rehearsal.clone().unwrap_or_else(RunId::generate);
        let mut ctx = Ctx::new(id, self.events.clone());
        ctx.stop = self.stop.clone();
        ctx
    }

    fn maintenance(&self) -> Endpoint {
        self.endpoint
            .with_database(&self.spec.target.maintenance_database)
    }
}

#[cfg(feature = "gcp")]
fn check_gcp(spec: &Spec) -> Result<()> {
    gcp::check(spec)
}

#[cfg(not(feature = "gcp"))]
fn check_gcp(spec: &Spec) -> Result<()> {
    match spec.needs_gcp() {
        None => Ok(()),
        Some(key) => Err(crate::Error::usage(format!(
            "{key}: this program was built without the jobs and services of Google Cloud"
        ))),
    }
}

#[cfg(all(test, not(feature = "gcp")))]
mod tests {
    #[test]
    fn what_was_not_built_in_is_refused_with_its_key() {
        let text = "version = 1\nstore.url = \"store\"\ntarget.url = \"postgresql:///app\"\n\
                    gcp = { project = \"p\", region = \"r\" }\n\
                    load = [{ name = \"a\", cloud_run = { job = \"j\" } }]\n";
        let folder = std::path::Path::new(".");
        let spec = crate::spec::parse(text, "rebuild.toml", folder, &|_| None);
        let error = super::check_gcp(&spec.expect("a spec")).expect_err("no feature");
        let why = "load: this program was built without the jobs and services of Google Cloud";
        assert_eq!(error.to_string(), why);
    }
}
