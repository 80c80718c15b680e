//! Databases made, half made and taken away again on a real server.

mod discarded;
mod made;
mod roles;
mod scratch;

use std::sync::Arc;

use super::{PgProvision, ProvisionOptions, create};
use crate::event::Ctx;
use crate::model::{DatabaseFacts, Identity};
use crate::postgres::{
    DatabaseKey, LocalCluster, Session, TargetLock, database_facts, find_database, made_by,
};
use crate::traits::{Lock, Provision, ProvisionRequest};

struct World {
    cluster: LocalCluster,
    admin: Session,
    ctx: Ctx,
    app: Identity,
    lock: Arc<TargetLock>,
}

impl World {
    /// A server with a target `app` that has something of everything that can be copied.
    async fn new() -> Self {
        let cluster = crate::testing::cluster().await.expect("a server");
        let admin = Session::open(&cluster.endpoint("postgres"), "test")
            .await
            .expect("a session");
        for sql in [
            "create role app_owner; create role reader; create role \"Guest 2\";
             create role chief",
            "create database app template template0 encoding 'SQL_ASCII' lc_collate 'C'
             lc_ctype 'C' connection limit 7",
            "alter database app owner to app_owner;
             alter database app set search_path to \"$user\", \"a, b\", public;
             alter database app set work_mem to '7MB';
             alter database app set log_statement to 'ddl';
             alter database app set default_transaction_read_only to on;
             alter role reader in database app set statement_timeout to '5s';
             revoke all on database app from public;
             grant connect on database app to chief with grant option;
             grant create, temporary on database app to \"Guest 2\";
             comment on database app is 'the app'",
            "begin; set local role chief; grant connect on database app to reader; commit",
        ] {
            admin.batch_execute(sql).await.expect("set up");
        }
        let app = find_database(&admin, DatabaseKey::Name("app"))
            .await
            .expect("an answer")
            .expect("there");
        let ctx = Ctx::quiet();
        let lock = Arc::new(TargetLock::new(cluster.endpoint("postgres"), app.clone()));
        lock.acquire(&ctx).await.expect("the lock");
        Self {
            cluster,
            admin,
            ctx,
            app,
            lock,
        }
    }

    fn provision(&self, options: ProvisionOptions) -> PgProvision {
        PgProvision::new(
            self.cluster.endpoint("postgres"),
            self.lock.clone(),
            options,
        )
    }

    fn staged(&self) -> String {
        create::first_name(&self.ctx.run, "app")
    }

    fn request(&self, name: &str) -> ProvisionRequest {
        ProvisionRequest {
            name: name.to_owned(),
            like: Some(self.app.clone()),
        }
    }

    async fn facts(&self, name: &str) -> DatabaseFacts {
        database_facts(&self.admin, DatabaseKey::Name(name))
            .await
            .expect("facts")
    }

    async fn run(&self, sql: &str) {
        self.admin.batch_execute(sql).await.expect(sql);
    }

    async fn exists(&self, name: &str) -> bool {
        find_database(&self.admin, DatabaseKey::Name(name))
            .await
            .expect("an answer")
            .is_some()
    }
}

/// What of the facts a copy must share with its model, once the gate is left out.
fn shared(mut facts: DatabaseFacts, model: &DatabaseFacts) -> DatabaseFacts {
    facts.identity = model.identity.clone();
    facts.bytes = model.bytes;
    facts.comment.clone_from(&model.comment);
    facts
}
