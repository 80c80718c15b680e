//! A database that is compared with a backup by rows that several workers add up.

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::error::Result;
use crate::postgres::PgComparison;
use crate::postgres::compare::{Place, add_up_share};
use crate::postgres::verify::{BackedUp, ContentReport};
use crate::testing::EXTENSION;
use crate::work::{Crew, Share, WorkFolder, WorkId};

/// Workers in this process, whose own store may be another one than the coordinator's.
struct Hands {
    endpoint: Endpoint,
    store: Store,
    options: RowOptions,
    work: WorkId,
}

#[async_trait]
impl Crew for Hands {
    fn size(&self) -> NonZeroU32 {
        const { NonZeroU32::new(3).expect("3 is not 0") }
    }

    fn work(&self) -> &WorkId {
        &self.work
    }

    async fn run(&self, ctx: &Ctx, folder: &WorkFolder) -> Result<()> {
        for index in 0..3 {
            let share = Share::find(ctx, folder.clone(), index, Duration::ZERO).await?;
            let endpoint_of = |place| {
                assert_eq!(place, Place::Target);
                Ok(self.endpoint.clone())
            };
            let adding = add_up_share(ctx, &share, &self.store, &endpoint_of, &self.options);
            assert!(adding.await?);
        }
        Ok(())
    }
}

impl World {
    /// What a comparison of `db` with the backup `id` finds by workers that read backups in `store`.
    async fn added_up(
        &self,
        (db, id): (&Identity, &BackupId),
        store: &Store,
        picked: &str,
    ) -> Result<ContentReport> {
        let crew = Arc::new(Hands {
            endpoint: self.admin(),
            store: store.clone(),
            options: self.options(),
            work: WorkId::generate(),
        });
        let comparison = PgComparison {
            restorer: self.restorer(true),
            crew: Some(crew),
            name_rows: false,
        };
        let except = |table: &TableName| table.name == picked;
        comparison.differences(&self.ctx, db, id, &except).await
    }
}

#[tokio::test]
async fn workers_find_what_one_process_finds_in_a_restored_kitchen_sink() {
    let world = World::new().await;
    let (of, source) = world.kitchen_sink().await;
    source.close().await;
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    world.apply(&db, &id).await;
    let restorer = world.restorer(true);
    world.restore(&restorer, &db, &id).await;
    let alone = restorer.differences(&world.ctx, &db, &id, &|_| false).await;
    let alone = alone.expect("compared");
    assert_eq!(alone.differing, [""; 0]);
    assert!(alone.tables > 30, "{alone:?}");
    let shared = world.added_up((&db, &id), &world.store, "").await;
    assert_eq!(shared.expect("compared"), alone);

    let inside = world.inside(&db).await;
    let changed = "insert into ks.unchecked values (1, 2);
                   alter table ks.membership rename to in_another_place";
    inside.batch_execute(changed).await.expect("changed");
    let alone = PgComparison {
        restorer: world.restorer(true),
        crew: None,
        name_rows: false,
    };
    for picked in ["", "membership", "unchecked"] {
        let except = |table: &TableName| table.name == picked;
        let alone = alone.differences(&world.ctx, &db, &id, &except).await;
        let alone = alone.expect("compared");
        let named = alone.differing.join("; ");
        assert_eq!(
            named.contains("ks.unchecked"),
            picked != "unchecked",
            "{named}"
        );
        assert_eq!(
            named.contains("ks.membership"),
            picked != "membership",
            "{named}"
        );
        let shared = world.added_up((&db, &id), &world.store, picked).await;
        assert_eq!(shared.expect("compared"), alone);
    }
}

#[tokio::test]
async fn a_worker_that_finds_another_manifest_adds_nothing_up() {
    let world = World::new().await;
    let (_, id, db) = world
        .ready("create table t (n int); insert into t values (1)")
        .await;
    world.restore(&world.restorer(true), &db, &id).await;
    let mut manifest = world.backup().manifest(&id).await.expect("the manifest");
    manifest.tables[0].condition = Some("where false".to_owned());
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("file://{}/store", folder.path().display());
    let store = Store::open(&url, &crate::Environment::default()).await;
    let store = store.expect("a store");
    let name = crate::store::Name::new(format!("backups/{id}/manifest.json"));
    let bytes = manifest.to_bytes().expect("bytes");
    let put = store.put_new(&name.expect("a name"), bytes).await;
    put.expect("stored");
    let error = world.added_up((&db, &id), &store, "").await;
    let error = error.expect_err("another manifest");
    assert!(error.is_refusal(), "{error:?}");
    assert!(error.to_string().contains("another manifest"), "{error:?}");
    let shared = world.added_up((&db, &id), &world.store, "").await;
    assert_eq!(shared.expect("compared").differing, [""; 0]);
}

#[tokio::test]
async fn rows_of_an_extension_are_picked_as_the_backup_says() {
    let world = World::new().await;
    let users = "insert into ext.filtered select i, true from generate_series(11, 3000) i";
    let (_, of) = world.source(&format!("{EXTENSION}; {users}")).await;
    let id = world.take(&of).await;
    let now_all = "set allow_system_table_mods = on;
                   update pg_catalog.pg_extension set extcondition = array['', '']
                    where extname = 'plpgsql'";
    let inside = world.inside(&of).await;
    inside.batch_execute(now_all).await.expect("changed");
    let shared = world.added_up((&of, &id), &world.store, "").await;
    let shared = shared.expect("compared");
    assert_eq!(
        (shared.differing.len(), shared.rows),
        (0, 2990),
        "{shared:?}"
    );
}
