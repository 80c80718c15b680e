//! A server that is replaced with its volumes.

use std::sync::Arc;

use super::{choice, lease_name};
use crate::engine::Backends;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::k8s::{
    LeaseLock, ObjectRef, ServerLock, ServerProvision, ServerReplacement, ServerTeardown,
    check_manifest,
};
use crate::model::{DatabaseFacts, ReplacedServer};
use crate::postgres::{
    PgProvision, Session, TargetLock, application, neighbours, roles_needed, server_error,
};
use crate::project::Project;
use crate::project::compose::provision_options;
use crate::spec::{ReplaceSpec, Spec};

/// Makes sure that what is to be replaced can be understood, before anything is touched.
///
/// # Errors
/// Wrong input, with the key; a manifest that cannot be used.
pub(super) fn check(spec: &Spec) -> Result<()> {
    let Some(replace) = spec.replacement() else {
        return Ok(());
    };
    let objects = objects(replace)?;
    if !objects.iter().any(ObjectRef::runs_pods) {
        return Err(Error::usage(
            "target.kubernetes.replace.objects: names no statefulset or deployment, so no server",
        ));
    }
    replace
        .manifests
        .iter()
        .try_for_each(|file| check_manifest(&spec.folder().join(file), &objects, &replace.claims))
}

fn objects(replace: &ReplaceSpec) -> Result<Vec<ObjectRef>> {
    let key = "target.kubernetes.replace.objects";
    let read = |text: &String| text.parse().map_err(|e: Error| e.context(key));
    replace.objects.iter().map(read).collect()
}

impl Project {
    fn replacement(&self) -> Result<Option<ServerReplacement>> {
        let (Some(replace), Some(pod)) = (
            self.spec.replacement(),
            self.spec.target.kubernetes.as_ref(),
        ) else {
            return Ok(None);
        };
        let folder = self.spec.folder();
        Ok(Some(ServerReplacement {
            cluster: self.cluster()?.clone(),
            pod: choice(pod),
            objects: objects(replace)?,
            claims: replace.claims.clone(),
            manifests: replace.manifests.iter().map(|f| folder.join(f)).collect(),
            remove_finalizers: replace.remove_finalizers.clone(),
            limit: replace.timeout.0,
            store: self.store.clone(),
        }))
    }

    /// What is replaced, with what only the database knows of it.
    pub(super) async fn replaced_server(&self, ctx: &Ctx) -> Result<Option<ReplacedServer>> {
        let Some(replacement) = self.replacement()? else {
            return Ok(None);
        };
        let mut server = replacement.facts(ctx).await?;
        let session = Session::open(&self.endpoint, &application(ctx)).await?;
        let session = session.only_read().await?;
        let known = |name: &String| *name == self.spec.target.maintenance_database;
        let mut others = neighbours(&session).await?;
        others.retain(|name| !known(name));
        let allowed = self.spec.replacement().map(|r| r.databases.clone());
        let allowed = allowed.unwrap_or_default();
        for other in others.iter().filter(|name| !allowed.contains(name)) {
            server.obstacles.push(format!(
                "database {other:?} of the same server would go with it, and is not backed up; \
                 back it up by itself, then name it in target.kubernetes.replace.databases"
            ));
        }
        server.databases = others;
        server.databases.retain(|name| allowed.contains(name));
        let folders = folders_of_data(&session).await?;
        server
            .obstacles
            .extend(replacement.paths_that_go(ctx, &folders).await?);
        server.roles = roles_needed(&session).await?;
        // The role of the spec is what the new server is reached with.
        server.roles.retain(|role| *role != self.endpoint.user);
        session.close().await;
        Ok(Some(server))
    }

    /// `backends`, where the whole server is replaced; `model` is what the database is like.
    pub(in crate::project) fn with_replacement(
        &self,
        backends: Backends,
        lock: Arc<TargetLock>,
        target: &str,
        model: &DatabaseFacts,
    ) -> Result<Backends> {
        let Some(replacement) = self.replacement()? else {
            return Ok(backends);
        };
        let lease = LeaseLock::new(self.cluster()?.clone(), lease_name(target));
        let provision = PgProvision::new(
            self.maintenance(),
            lock.clone(),
            provision_options(&self.spec),
        )
        .modelled_on(model.clone())
        .over_empty();
        let lock = Arc::new(ServerLock::new(Arc::new(lease), lock, self.store.clone()));
        Ok(Backends {
            teardown: Arc::new(ServerTeardown::new(
                replacement.clone(),
                backends.teardown.clone(),
                lock.clone(),
            )),
            provision: Arc::new(ServerProvision::new(
                replacement,
                Arc::new(provision),
                lock.clone(),
            )),
            lock,
            ..backends
        })
    }
}

/// The folders on the server that its data is in, those that this role may know of.
async fn folders_of_data(session: &Session) -> Result<Vec<String>> {
    let rows = session
        .query(
            "select setting from pg_catalog.pg_settings where name = 'data_directory'
             union all
             select l from pg_catalog.pg_tablespace t, pg_catalog.pg_tablespace_location(t.oid) l
              where l like '/%'",
            &[],
        )
        .await;
    let rows = rows.map_err(|e| server_error("could not ask where the server's data is", e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
