//! What puts rows of an old PostgreSQL database into a new one keeps the contract, on a real
//! server.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;

use super::restored::run;
use super::staged::{another, identity};
use crate::event::Ctx;
use crate::model::{BackupId, Endpoint, Identity, TableName};
use crate::postgres::{
    Environment, LocalCluster, PgPreserver, PgRestorer, Preserved, RestoreChoice, RowOptions,
    Session, ident, made_by,
};
use crate::spec::Keep;
use crate::store::Store;
use crate::testing::conformance::{self, DatabaseScene, PreserveStage};
use crate::testing::{cluster, scratch_database};
use crate::traits::Preserver;

const SCHEMA: &str = "
    create table public.person (id int generated always as identity primary key, name text unique);
    create table public.note (id serial primary key, person int not null references public.person,
                              body text unique);";

/// A name that both have, under other ids; and a note that finds nobody.
const OLD: &str = "
    insert into public.person (name) values ('ann'), ('bob'), ('lost');
    insert into public.note (person, body) values (1, 'of ann'), (2, 'of bob'), (3, 'of nobody')";

const NEW: &str = "
    insert into public.person (name) values ('cy'), ('dee'), ('ann');
    insert into public.note (person, body) values (1, 'of cy')";

const ROWS: &str = "
    select coalesce(pg_catalog.string_agg(line, ', ' order by line), '') from (
        select p.name || ' ' || coalesce(n.body, 'nothing')
          from public.person p left join public.note n on n.person = p.id) t (line)";

struct Stage {
    cluster: Arc<LocalCluster>,
    _folder: TempDir,
    old: (Endpoint, Identity),
    new: (Endpoint, Identity),
    ctx: Ctx,
    backup: BackupId,
    preserver: PgPreserver,
}

impl Stage {
    async fn new(cluster: &Arc<LocalCluster>) -> Self {
        let folder = TempDir::new().expect("a folder");
        let url = format!("file://{}", folder.path().join("store").display());
        let ctx = Ctx::quiet();
        let filled = async |rows: &str| {
            let endpoint = scratch_database(cluster).await.expect("a database");
            run(&endpoint, &format!("{SCHEMA}{rows}")).await;
            let identity = identity(&endpoint).await;
            (endpoint, identity)
        };
        let (old, new) = (filled(OLD).await, filled(NEW).await);
        let (name, mark) = (ident(&new.1.name).expect("a name"), made_by(&ctx.run));
        run(&new.0, &format!("comment on database {name} is '{mark}'")).await;
        let rule = |table: &str, condition: Option<&str>, key: &str| Preserved {
            table: TableName::new("public", table),
            condition: condition.map(ToOwned::to_owned),
            keep: Keep::Target,
            key: vec![key.to_owned()],
        };
        let preserver = PgPreserver {
            restorer: PgRestorer {
                endpoint: cluster.endpoint("postgres"),
                store: Store::open(&url, &Environment::default())
                    .await
                    .expect("a store"),
                options: RowOptions {
                    jobs: NonZeroUsize::MIN,
                    ..RowOptions::default()
                },
                choice: RestoreChoice::default(),
                own_schema: true,
                tools: None,
                environment: Environment::default(),
            },
            rules: vec![
                rule("person", Some("name <> 'lost'"), "name"),
                rule("note", None, "body"),
            ],
        };
        Self {
            cluster: cluster.clone(),
            _folder: folder,
            old,
            new,
            ctx,
            backup: BackupId::generate(),
            preserver,
        }
    }
}

#[async_trait]
impl DatabaseScene for Stage {
    fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    fn db(&self) -> &Identity {
        &self.new.1
    }

    fn backup(&self) -> &BackupId {
        &self.backup
    }

    async fn stranger(&self) -> Identity {
        another(&self.cluster).await
    }
}

#[async_trait]
impl PreserveStage for Stage {
    fn preserver(&self) -> &dyn Preserver {
        &self.preserver
    }

    fn old(&self) -> &Identity {
        &self.old.1
    }

    async fn rows(&self, db: &Identity) -> String {
        let endpoint = self.old.0.with_database(&db.name);
        let session = Session::open(&endpoint, "conformance").await;
        let row = session.expect("a session").query_one(ROWS, &[]).await;
        row.expect("rows").get(0)
    }

    fn expected(&self) -> String {
        "ann of ann, bob of bob, cy of cy, dee nothing".to_owned()
    }
}

#[tokio::test]
async fn pg_preserver() {
    let cluster = Arc::new(cluster().await.expect("a server"));
    conformance::preserve(async || Stage::new(&cluster).await).await;
}
