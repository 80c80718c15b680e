//! Backups whose server, network or store goes away under them.

use super::*;
use crate::error::{Error, ErrorKind};
use crate::event::Events;
use crate::testing::{FullStore, Network, progress_told};

/// Some megabytes that do not compress.
const ROWS: &str = "
    create table public.t (id int, x text);
    insert into public.t
    select i, (select pg_catalog.string_agg(pg_catalog.md5(i::text || j::text), '')
                 from pg_catalog.generate_series(1, 16) j)
      from pg_catalog.generate_series(1, 20000) i";

/// What the attempt ended with; nothing of it is left that could be taken for a backup.
async fn fails(world: &World, backup: &PgBackup) -> Error {
    let id = BackupId::generate();
    let taken = backup.take(&world.ctx, &world.identity, &id, BackupMode::Full);
    let taken = tokio::time::timeout(std::time::Duration::from_secs(60), taken);
    let error = taken.await.expect("it ends").expect_err("no backup");
    let all = crate::store::Name::new("backups").expect("name");
    assert_eq!(world.store.list(&all).await.expect("list"), Vec::new());
    error
}

#[tokio::test]
async fn a_network_that_is_cut_makes_no_backup() {
    let world = World::with(ROWS).await;
    let server = &world.endpoint;
    let tools = || client_bin_dir(&world.cluster);
    // In the middle of the look at the catalog, of the schema, and of the rows.
    for bytes in [20_000, 200_000, 5_000_000] {
        let proxy = Network::before(server, bytes).await.expect("a proxy");
        let backup = world.backup_from(proxy.endpoint(), World::options(), tools());
        let error = fails(&world, &backup).await;
        assert!(proxy.is_struck(), "{bytes}: {}", error.chain());
        let kinds = [
            ErrorKind::Server,
            ErrorKind::Unreachable,
            ErrorKind::Program,
        ];
        assert!(kinds.contains(&error.kind()), "{bytes}: {error:?}");
    }
    let proxy = Network::before(server, u64::MAX).await.expect("a proxy");
    let backup = world.backup_from(proxy.endpoint(), World::options(), tools());
    assert_eq!(world.take_with(&backup).await.tables[0].rows, 20_000);
}

#[tokio::test]
async fn a_server_that_stops_makes_no_backup() {
    let mut world = World::with(ROWS).await;
    let (events, mut told) = progress_told();
    world.ctx.events = events;
    let backup = world.backup_with(RowOptions {
        jobs: NonZeroUsize::MIN,
        chunk_bytes: 16 << 10,
        ..World::options()
    });
    let killing = async {
        told.recv().await.expect("it has begun");
        world.cluster.kill().await.expect("killed");
    };
    let (error, ()) = tokio::join!(fails(&world, &backup), killing);
    let kinds = [
        ErrorKind::Server,
        ErrorKind::Unreachable,
        ErrorKind::Program,
    ];
    assert!(kinds.contains(&error.kind()), "{error:?}");
    world.cluster.launch().await.expect("started again");
    world.ctx.events = Events::none();
    assert_eq!(world.take().await.tables[0].rows, 20_000);
}

#[tokio::test]
async fn a_full_store_makes_no_backup() {
    let mut world = World::with(ROWS).await;
    // The first file, a chunk in the middle, and the manifest itself.
    let whole = world.take().await;
    let bytes = whole.summary().stored_bytes;
    let permit = crate::traits::DestroyPermit::by_name(&world.identity, &world.identity.name);
    let backup = world.backup();
    let removed = backup.remove(&world.ctx, &whole.id, permit.expect("a permit"));
    removed.await.expect("removed");
    let real = world.store.clone();
    for room in [0, bytes / 2, bytes + 100] {
        world.store = FullStore::over(&real, room).expect("a store");
        let error = fails(&world, &world.backup()).await;
        assert_eq!(error.kind(), ErrorKind::Store, "{room}: {error:?}");
        let hint = error.advice().unwrap_or_default();
        assert!(hint.contains("disk is full"), "{room}: {error:?}");
    }
    world.store = real;
    let listed = world.backup().list(&world.ctx).await.expect("list");
    assert_eq!(listed, Vec::new());
    assert_eq!(world.take().await.tables[0].rows, 20_000);
}
