mod csv;
mod some_tables;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::error::ErrorKind;
use crate::model::{Endpoint, Host, Identity, TableName};
use crate::postgres::backup::layout;
use crate::postgres::{
    DatabaseKey, LocalCluster, PgBackup, PgProvision, ProvisionOptions, TargetLock, database_facts,
    find_database, fingerprints, ident,
};
use crate::spec::TablePatterns;
use crate::testing::{client_bin_dir, cluster, load_kitchen_sink, scratch_database};
use crate::traits::{Backup, Lock, Provision, ProvisionRequest, SchemaApplier};

/// A server, a store, and what every test does with them.
struct World {
    cluster: LocalCluster,
    store: Store,
    ctx: Ctx,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("file://{}/store", folder.path().display());
        Self {
            cluster: cluster().await.expect("a server"),
            store: Store::open(&url).await.expect("a store"),
            ctx: Ctx::quiet(),
            _folder: folder,
        }
    }

    fn admin(&self) -> Endpoint {
        self.cluster.endpoint("postgres")
    }

    fn tools(&self) -> PathBuf {
        client_bin_dir(&self.cluster)
    }

    fn options(&self) -> RowOptions {
        RowOptions {
            // Small, so that tables come in several chunks and pieces.
            chunk_bytes: 4096,
            split_bytes: 16384,
            ..RowOptions::default()
        }
    }

    async fn source(&self, sql: &str) -> (Endpoint, Identity) {
        let endpoint = scratch_database(&self.cluster).await.expect("a database");
        let session = Session::open(&endpoint, "test").await.expect("session");
        let sql = format!("set search_path = public; {sql}; set search_path = ''");
        session.batch_execute(&sql).await.expect("the source");
        let facts = database_facts(&session, DatabaseKey::Current).await;
        (endpoint, facts.expect("facts").identity)
    }

    fn backup(&self) -> PgBackup {
        PgBackup::new(
            self.admin(),
            self.store.clone(),
            self.options(),
            Some(self.tools()),
            Environment::from_process(),
        )
    }

    async fn take(&self, of: &Identity) -> BackupId {
        let id = BackupId::generate();
        let backup = self.backup();
        backup
            .take(&self.ctx, of, &id, BackupMode::Full)
            .await
            .expect("a backup");
        let (_, verdict) = backup.check(&self.ctx, &id).await.expect("checked");
        assert!(verdict.passed(), "{:?}", verdict.complaints());
        id
    }

    /// An empty database of this run, like `like`.
    async fn staged(&self, like: &Identity) -> Identity {
        let lock = Arc::new(TargetLock::new(self.admin(), like.clone()));
        lock.acquire(&self.ctx).await.expect("the lock");
        let provision = PgProvision::new(self.admin(), lock.clone(), ProvisionOptions::default());
        let request = ProvisionRequest {
            name: format!("staged_{}", self.ctx.run.short()),
            like: Some(like.clone()),
        };
        let made = provision
            .provision(&self.ctx, &request)
            .await
            .expect("made");
        lock.release(&self.ctx).await.expect("released");
        made
    }

    fn restorer(&self, own_schema: bool) -> PgRestorer {
        PgRestorer {
            endpoint: self.admin(),
            store: self.store.clone(),
            options: self.options(),
            choice: RestoreChoice::default(),
            own_schema,
            tools: Some(self.tools()),
            environment: Environment::from_process(),
        }
    }

    fn schema(&self) -> PgBackupSchema {
        PgBackupSchema {
            endpoint: self.admin(),
            store: self.store.clone(),
            rows_follow: true,
        }
    }

    async fn inside(&self, db: &Identity) -> Session {
        Session::open_at(&self.admin(), db, &self.ctx)
            .await
            .expect("session")
    }

    fn dump(&self, database: &str) -> String {
        let endpoint = self.admin();
        let Host::Socket(socket) = &endpoint.host else {
            panic!("a local server has a socket");
        };
        let output = Command::new(self.tools().join("pg_dump"))
            .args(["--schema-only", "--host"])
            .arg(socket)
            .args(["--port", &endpoint.port.to_string()])
            .args(["--username", &endpoint.user, database])
            .output()
            .expect("pg_dump");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).expect("text");
        let restriction =
            |line: &&str| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict ");
        text.lines()
            .filter(restriction)
            .collect::<Vec<_>>()
            .join("\n")
    }

    async fn assert_same_rows(&self, db: &Identity, id: &BackupId) {
        let manifest = self.backup().manifest(id).await.expect("the manifest");
        let now = fingerprints(&self.ctx, &self.admin(), db, &manifest, &self.options())
            .await
            .expect("fingerprints");
        assert_eq!(now, manifest.fingerprints());
    }
}

async fn text(session: &Session, sql: &str) -> String {
    let row = session.query_one(sql, &[]).await.expect(sql);
    row.get::<_, Option<String>>(0).unwrap_or_default()
}

#[tokio::test]
async fn everything_comes_back() {
    let world = World::new().await;
    let source = scratch_database(&world.cluster).await.expect("a database");
    load_kitchen_sink(&source).await.expect("the kitchen sink");
    let session = Session::open(&source, "test").await.expect("session");
    let of = find_database(&session, DatabaseKey::Current).await;
    let of = of.expect("found").expect("there");
    session.close().await;
    let before = world.dump(&of.name);
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    world
        .schema()
        .apply(&world.ctx, &db, &id)
        .await
        .expect("schema");
    let restorer = world.restorer(true);
    let report = restorer
        .restore(&world.ctx, &db, &id)
        .await
        .expect("restored");
    assert!(report.rows > 0 && report.large_objects > 0, "{report:?}");
    // A second call finds everything done.
    let again = restorer.restore(&world.ctx, &db, &id).await.expect("again");
    assert_eq!(again, report);
    restorer
        .finish(&world.ctx, &db, &id)
        .await
        .expect("finished");
    world.assert_same_rows(&db, &id).await;
    let after = world.dump(&db.name);
    assert!(before == after, "{}", difference(&before, &after));
}

fn difference(before: &str, after: &str) -> String {
    let lines: (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let gone = lines.0.iter().filter(|l| !lines.1.contains(l)).take(20);
    let new = lines.1.iter().filter(|l| !lines.0.contains(l)).take(20);
    gone.map(|l| format!("- {l}\n"))
        .chain(new.map(|l| format!("+ {l}\n")))
        .collect()
}

const SHOP: &str = "
    create table customer (id int primary key, name text not null, legacy text);
    create table orders (
        id int generated always as identity primary key,
        customer_id int not null references customer (id),
        amount int, placed date, state text);
    create table empty_one (id int);
    create table alembic_version (version_num text primary key);
    insert into alembic_version values ('old');
    insert into customer select n, 'customer ' || n, null from generate_series(1, 2000) n;
    insert into orders (customer_id, amount, placed, state)
        select 1 + n % 2000, n, '2026-01-01'::date + n % 100, case when n % 2 = 0 then 'paid' end
          from generate_series(1, 5000) n";

const NEWER: &str = "
    create schema sales;
    create table customer (id bigint primary key, name varchar(40) not null,
        since timestamptz not null default '2026-01-01 00:00:00+00');
    create table orders (
        id bigint generated always as identity primary key,
        customer_id bigint not null, amount numeric(12, 2), placed timestamp, state text,
        constraint to_customer foreign key (customer_id) references customer (id)
            on delete cascade deferrable initially deferred);
    comment on constraint to_customer on orders is 'it''s a key';
    create index on orders (placed);
    create table audit (n bigint);
    create function noted() returns trigger language plpgsql as
        $$ begin insert into public.audit values (1); return new; end $$;
    create trigger a after insert on orders for each row execute function noted();
    create trigger b after insert on orders for each row execute function noted();
    alter table orders enable always trigger b;
    create trigger c after insert on orders for each row execute function noted();
    alter table orders disable trigger c;
    create table alembic_version (version_num text primary key);
    insert into alembic_version values ('new');
    insert into customer values (1, 'a seed', now());
    create materialized view totals as
        select customer_id, sum(amount) as total from orders group by customer_id";

#[tokio::test]
async fn rows_find_their_place_in_a_newer_schema() {
    let world = World::new().await;
    let (_, of) = world.source(SHOP).await;
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    let session = world.inside(&db).await;
    let newer = format!("set search_path = public; {NEWER}; set search_path = ''");
    session
        .batch_execute(&newer)
        .await
        .expect("the newer schema");
    let schema = world.dump(&db.name);

    let restorer = world.restorer(false);
    let outline = restorer
        .outline(&world.ctx, &db, &id)
        .await
        .expect("outline");
    assert_eq!(
        outline.unplaced,
        [],
        "nothing was in the column that is gone, or the table"
    );
    assert_eq!(
        outline.new_columns,
        [(TableName::new("public", "customer"), "since".to_owned())]
    );
    let report = restorer
        .restore(&world.ctx, &db, &id)
        .await
        .expect("restored");
    assert_eq!(report.rows, 7000);
    restorer
        .finish(&world.ctx, &db, &id)
        .await
        .expect("finished");

    for (sql, expected) in [
        ("select count(*)::text from public.customer", "2000"),
        (
            "select name from public.customer where id = 1",
            "customer 1",
        ),
        (
            "select since::text from public.customer where id = 7",
            "2026-01-01 00:00:00+00",
        ),
        ("select sum(amount)::text from public.orders", "12502500.00"),
        (
            "select placed::text from public.orders where id = 2",
            "2026-01-03 00:00:00",
        ),
        ("select count(*)::text from public.audit", "0"),
        ("select version_num from public.alembic_version", "new"),
        ("select count(*)::text from public.totals", "2000"),
        ("select nextval('public.orders_id_seq')::text", "5001"),
    ] {
        assert_eq!(text(&session, sql).await, expected, "{sql}");
    }
    let after = world.dump(&db.name);
    assert!(schema == after, "{}", difference(&schema, &after));
}

#[tokio::test]
async fn data_without_a_place_is_a_refusal_unless_it_is_allowed() {
    let world = World::new().await;
    let (_, of) = world
        .source(
            "create table kept (id int, gone text, also_gone int);
             create table lost (id int);
             insert into kept values (1, 'x', null), (2, null, null);
             insert into lost values (1), (2), (3)",
        )
        .await;
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    let session = world.inside(&db).await;
    session
        .batch_execute("create table public.kept (id int)")
        .await
        .expect("a smaller schema");
    let mut restorer = world.restorer(false);
    let error = restorer
        .restore(&world.ctx, &db, &id)
        .await
        .expect_err("no place");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error
            .to_string()
            .contains("column public.kept.gone (1 rows"),
        "{error}"
    );
    assert!(
        error.to_string().contains("table public.lost (3 rows)"),
        "{error}"
    );
    assert!(!error.to_string().contains("also_gone"), "{error}");

    restorer.choice.tables = TablePatterns::compile(&["kept.*".to_owned()]).expect("patterns");
    let error = restorer.restore(&world.ctx, &db, &id).await;
    let error = error.expect_err("nothing is in that schema");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("matches none of"), "{error}");
    restorer.choice.tables = TablePatterns::default();

    let allowed = ["public.lost".to_owned(), "public.kept.gone".to_owned()];
    restorer.choice.may_drop = TablePatterns::with_columns(&allowed).expect("patterns");
    let report = restorer
        .restore(&world.ctx, &db, &id)
        .await
        .expect("restored");
    assert_eq!((report.rows, report.left_out.len()), (2, 2));
    assert_eq!(
        text(
            &session,
            "select string_agg(id::text, ',' order by id) from public.kept"
        )
        .await,
        "1,2"
    );
}

#[tokio::test]
async fn a_restore_goes_on_where_it_was_cut() {
    let world = World::new().await;
    let (_, of) = world
        .source(
            "create table a (id int primary key, b text);
             create table c (id int primary key references a (id));
             insert into a select n, repeat('x', 50) from generate_series(1, 20000) n;
             insert into c select n from generate_series(1, 20000) n;
             create index on a (b)",
        )
        .await;
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    world
        .schema()
        .apply(&world.ctx, &db, &id)
        .await
        .expect("schema");
    let restorer = world.restorer(true);
    let session = world.inside(&db).await;
    let mut cuts = 0;
    // Each call is dropped after some polls; what was committed until then stays.
    for patience in 1..200 {
        let limit = std::time::Duration::from_millis(patience * 3);
        let cut = tokio::time::timeout(limit, restorer.restore(&world.ctx, &db, &id)).await;
        match cut {
            Err(_) => cuts += 1,
            Ok(done) => {
                done.expect("restored");
                break;
            }
        }
    }
    assert!(cuts > 0);
    restorer
        .finish(&world.ctx, &db, &id)
        .await
        .expect("finished");
    world.assert_same_rows(&db, &id).await;
    let left =
        "select count(*)::text from pg_catalog.pg_namespace where nspname = 'rebuild_restore'";
    assert_eq!(text(&session, left).await, "0");
    assert_eq!(world.dump(&of.name), world.dump(&db.name));
}

#[tokio::test]
async fn a_damaged_chunk_and_a_foreign_database_are_refused() {
    let world = World::new().await;
    let (_, of) = world
        .source("create table t (id int); insert into t select generate_series(1, 100)")
        .await;
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    world
        .schema()
        .apply(&world.ctx, &db, &id)
        .await
        .expect("schema");
    let restorer = world.restorer(true);

    let mut other = world.ctx.clone();
    other.run = crate::model::RunId::generate();
    let error = restorer
        .restore(&other, &db, &id)
        .await
        .expect_err("another run's");
    assert!(error.to_string().contains("was not made by"), "{error}");
    let error = restorer
        .restore(&world.ctx, &of, &id)
        .await
        .expect_err("the original");
    assert!(error.to_string().contains("was not made by"), "{error}");

    let manifest = world.backup().manifest(&id).await.expect("the manifest");
    let chunk = &manifest.tables[0].chunks[0].file;
    let path = world.store.folder().expect("a folder");
    let path = path.join(layout::folder(&id)).join(chunk);
    let mut bytes = std::fs::read(&path).expect("the chunk");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let error = restorer
        .restore(&world.ctx, &db, &id)
        .await
        .expect_err("damaged");
    assert!(error.chain().contains(chunk.as_str()), "{}", error.chain());
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let session = world.inside(&db).await;
    let count = format!(
        "select count(*)::text from public.{}",
        ident("t").expect("a name")
    );
    assert_eq!(text(&session, &count).await, "0");
}
