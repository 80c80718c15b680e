//! `restore --from`: a dump that another program made, into a new database.

use std::path::Path;
use std::sync::Arc;

use super::into::removed;
use super::{Project, compose};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{Identity, Verdict};
use crate::postgres::{
    DatabaseKey, DumpFrom, DumpReport, PgDump, PgProvision, ProvisionOptions, RoleMap, Session,
    TargetLock, application, database_facts, find_database, server_facts,
};
use crate::traits::{Lock, Provision, ProvisionRequest};

impl Project {
    /// Restores a dump of pg_dump (an archive, or SQL, which may be an object `s3://...` or `gs://...`)
    /// into a new database beside the target and like it, and counts its rows. With `trusted`, a superuser may do so.
    ///
    /// *Repeats:* a database of that name is a refusal. *Destroys:* nothing.
    ///
    /// # Errors
    /// The name is taken; the dump is damaged or holds what is refused; the server failed. What
    /// was made until then is removed.
    pub async fn restore_dump(
        &self,
        dump: &Path,
        into: &str,
        roles: RoleMap,
        trusted: bool,
    ) -> Result<(Identity, DumpReport, Verdict)> {
        let ctx = self.ctx();
        let dump = PgDump {
            from: self.dump_at(&ctx, dump).await?,
            roles,
            trusted,
            options: compose::row_options(&self.spec),
            tools: compose::tools(&self.spec),
            environment: self.environment.clone(),
        };
        let maintenance = self.maintenance();
        dump.check(&ctx, &maintenance).await?;
        let (nothing, provision) = self.beside_the_target(&ctx, into).await?;
        let lock = Arc::new(TargetLock::new(maintenance.clone(), nothing));
        lock.acquire(&ctx).await?;
        let provision = provision(lock.clone());
        let request = ProvisionRequest {
            name: into.to_owned(),
            like: None,
        };
        let db = provision.provision(&ctx, &request).await?;
        let restored = async {
            let (report, verdict) = dump.restore(&ctx, &maintenance, &db).await?;
            provision.settle(&ctx, &db, None).await?;
            Ok((report, verdict))
        };
        match restored.await {
            Ok((report, verdict)) => {
                lock.release(&ctx).await?;
                Ok((db, report, verdict))
            }
            Err(e) => Err(removed(&ctx, (&lock, &provision), &db, e).await),
        }
    }

    /// Where the dump is. A bucket of Google Cloud is read by the account of the spec, if it names one.
    #[cfg_attr(not(feature = "cloudsql"), allow(unused_variables))]
    async fn dump_at(&self, ctx: &Ctx, dump: &Path) -> Result<DumpFrom> {
        #[cfg(feature = "cloudsql")]
        if let (Some(google), Some(url)) = (&self.google, dump.to_str())
            && url.starts_with("gs://")
        {
            let object = crate::cloudsql::ObjectInBucket::at(google.clone(), ctx.clone(), url)?;
            return Ok(DumpFrom::Stream(Arc::new(object)));
        }
        DumpFrom::find(dump, &self.environment).await
    }

    /// What is locked while there is no database `name` yet, and who makes it: like the target,
    /// where there is one.
    async fn beside_the_target(
        &self,
        ctx: &Ctx,
        name: &str,
    ) -> Result<(Identity, impl FnOnce(Arc<TargetLock>) -> PgProvision)> {
        let maintenance = self.maintenance();
        let session = Session::open(&maintenance, &application(ctx)).await?;
        let nothing = Identity {
            server: server_facts(&session).await?.system_identifier,
            name: name.to_owned(),
            uid: "0".to_owned(),
        };
        let target = DatabaseKey::Name(&self.endpoint.database);
        let model = match find_database(&session, target).await? {
            Some(_) => {
                let target = DatabaseKey::Name(&self.endpoint.database);
                Some(database_facts(&session, target).await?)
            }
            None => None,
        };
        session.close().await;
        let make = move |lock| match model {
            Some(model) => {
                PgProvision::new(maintenance, lock, ProvisionOptions::default()).modelled_on(model)
            }
            None => {
                let options = ProvisionOptions {
                    encoding: Some("UTF8".to_owned()),
                    ..ProvisionOptions::default()
                };
                PgProvision::new(maintenance, lock, options)
            }
        };
        Ok((nothing, make))
    }
}
