//! An instance that is replaced.

use std::sync::Arc;

use crate::cloudsql::{
    InstanceChanges, InstanceLock, InstanceMaker, InstanceProvision, InstanceReplacement,
    InstanceTeardown,
};
use crate::engine::Backends;
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{DatabaseFacts, ReplacedInstance};
use crate::postgres::{PgProvision, Session, TargetLock, application, neighbours, roles_needed};
use crate::project::Project;
use crate::project::compose::provision_options;
use crate::spec::{MakerSpec, ReplaceInstanceSpec};

/// What every instance has, and nobody but the service touches.
const OF_THE_SERVICE: &str = "cloudsqladmin";

impl Project {
    fn instance_replacement(&self) -> Option<InstanceReplacement> {
        let instance = self.instance.as_ref()?;
        let named = self.spec.target.cloudsql.as_ref()?;
        let replace = self.spec.replaced_instance()?;
        Some(InstanceReplacement {
            sql: instance.sql.clone(),
            maker: maker(replace),
            lift_protection: replace.lift_deletion_protection,
            replicas: super::replicas(named),
            users: self.users_of_new_instance(),
            limit: replace.timeout.0,
            store: self.store.clone(),
        })
    }

    /// What is replaced, with what only the database knows of it.
    pub(super) async fn replaced_instance(&self, ctx: &Ctx) -> Result<Option<ReplacedInstance>> {
        let (Some(replacement), Some(replace)) =
            (self.instance_replacement(), self.spec.replaced_instance())
        else {
            return Ok(None);
        };
        let mut facts = Box::pin(replacement.facts(ctx)).await?;
        let session = Session::open(&self.endpoint, &application(ctx)).await?;
        let session = session.only_read().await?;
        let maintenance = &self.spec.target.maintenance_database;
        let mut others = neighbours(&session).await?;
        others.retain(|name| name != maintenance && name != OF_THE_SERVICE);
        facts.roles = roles_needed(&session).await?;
        session.close().await;
        // Those of the service begin alike, and are there from the beginning.
        let is_known = |role: &String| {
            facts.users.contains(role) || role.starts_with("cloudsql") || role == "postgres"
        };
        facts.roles.retain(|role| !is_known(role));
        let allowed = |name: &&String| replace.databases.contains(name);
        for other in others.iter().filter(|name| !allowed(name)) {
            facts.obstacles.push(format!(
                "database {other:?} of the same instance would go with it, and is not in the new one; \
                 name it in target.cloudsql.replace.databases if that is meant"
            ));
        }
        facts.databases = others.iter().filter(allowed).cloned().collect();
        if facts.made_by_run && self.endpoint.password().is_none() {
            facts.obstacles.push(format!(
                "there is no password for user {:?} of the new instance (target.password)",
                self.endpoint.user
            ));
        }
        Ok(Some(facts))
    }

    /// `backends`, where the whole instance is replaced; `model` is what the database is like.
    pub(in crate::project) fn with_instance_replacement(
        &self,
        backends: Backends,
        lock: Arc<TargetLock>,
        model: &DatabaseFacts,
    ) -> Backends {
        let Some(replacement) = self.instance_replacement() else {
            return backends;
        };
        let options = provision_options(&self.spec);
        let provision = PgProvision::new(self.maintenance(), lock.clone(), options)
            .modelled_on(model.clone())
            .over_empty();
        let lock = Arc::new(InstanceLock::new(lock, self.store.clone()));
        Backends {
            teardown: Arc::new(InstanceTeardown::new(
                replacement.clone(),
                backends.teardown.clone(),
                backends.backup.clone(),
                lock.clone(),
            )),
            provision: Arc::new(InstanceProvision::new(
                replacement,
                Arc::new(provision),
                lock.clone(),
            )),
            lock,
            ..backends
        }
    }
}

fn maker(replace: &ReplaceInstanceSpec) -> InstanceMaker {
    match replace.made_by {
        MakerSpec::Infrastructure => InstanceMaker::EarlierStep,
        MakerSpec::Run => InstanceMaker::Run(InstanceChanges {
            tier: replace.tier.clone(),
            version: replace.version.clone(),
            disk_gb: replace.disk_gb,
            flags: replace.flags.clone(),
        }),
    }
}
