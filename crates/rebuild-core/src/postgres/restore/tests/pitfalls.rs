//! What other tools are known to trip over when they fill a database.

use super::cut::restored_in_cuts;
use super::*;
use crate::model::RunId;
use crate::postgres::BackedUp;
use crate::testing::EXTENSION;
use crate::testing::progress_told;

/// Two tables that are split, one that is not, and partitions.
const SEVERAL: &str = "
    create table a (id int primary key, b text);
    create table b (id int primary key references a, b text);
    create table c (id int);
    create table p (id int, b text) partition by range (id);
    create table p_1 partition of p for values from (0) to (5000);
    create table p_2 partition of p default;
    insert into a select n, repeat('x', 200) from generate_series(1, 10000) n;
    insert into b select n, repeat('y', 200) from generate_series(1, 10000) n;
    insert into c select generate_series(1, 10);
    insert into p select n, repeat('z', 200) from generate_series(1, 10000) n";

#[tokio::test]
async fn chosen_tables_that_are_split_go_on_where_they_were_cut() {
    let world = World::new().await;
    let (_, id, db) = world.ready(SEVERAL).await;
    let manifest = world.backup().manifest(&id).await.expect("the manifest");
    let chunks = |name: &str| {
        let entry = manifest.tables.iter().find(|t| t.table.name == name);
        entry.expect(name).chunks.len()
    };
    assert!(chunks("a") > 3 && chunks("p_1") > 1);
    let mut restorer = world.restorer(true);
    let chosen = ["public.{a,b}".to_owned(), "public.p_*".to_owned()];
    restorer.choice.tables = TablePatterns::compile(&chosen).expect("patterns");
    let report = restored_in_cuts(&world, &restorer, &db, &id).await;
    assert_eq!(report.rows, 30_000);
    let compared = restorer.differences(&world.ctx, &db, &id, &|_| false).await;
    let compared = compared.expect("compared");
    assert_eq!((compared.tables, compared.rows), (4, 30_000));
    assert_eq!(compared.differing, Vec::<String>::new());
    let session = world.inside(&db).await;
    assert_eq!(
        text(&session, "select count(*)::text from public.c").await,
        "0"
    );
}

/// `TRUNCATE ONLY` is an error for a partitioned table. One is loaded through its root where the
/// hash of an enum says where a row belongs, and where the new schema has other partitions.
#[tokio::test]
async fn partitioned_tables_that_have_rows_are_emptied_first() {
    let world = World::new().await;
    let (_, of) = world
        .source(
            "create type mood as enum ('sad', 'ok', 'happy');
             create table h (m mood, n int) partition by hash (m);
             create table h_0 partition of h for values with (modulus 2, remainder 0);
             create table h_1 partition of h for values with (modulus 2, remainder 1);
             insert into h select ('{sad,ok,happy}'::mood[])[1 + n % 3], n
               from generate_series(1, 3000) n;
             create table r (n int, x text);
             insert into r select n, 'x' from generate_series(1, 3000) n",
        )
        .await;
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    let session = world.inside(&db).await;
    let newer = "
        set search_path = public;
        create type mood as enum ('happy', 'ok', 'sad');
        create table h (m mood, n int) partition by hash (m);
        create table h_0 partition of h for values with (modulus 2, remainder 0);
        create table h_1 partition of h for values with (modulus 2, remainder 1);
        insert into h values ('ok', -1), ('sad', -2), ('happy', -3);
        create table r (n int, x text) partition by range (n);
        create table r_low partition of r for values from (minvalue) to (1000);
        create table r_high partition of r default;
        insert into r values (-1, 'a seed'), (5000, 'a seed');
        set search_path = ''";
    session
        .batch_execute(newer)
        .await
        .expect("the newer schema");
    let restorer = world.restorer(false);
    let report = restored_in_cuts(&world, &restorer, &db, &id).await;
    assert_eq!(report.rows, 6000);
    let others = |table: &TableName| table.name == "r";
    let compared = restorer.differences(&world.ctx, &db, &id, &others).await;
    let compared = compared.expect("compared");
    assert_eq!(compared.rows, 3000);
    assert_eq!(compared.differing, Vec::<String>::new());
    let whole = "select count(*)::text || ' ' || sum(n)::text from public.r where x = 'x'";
    assert_eq!(text(&session, whole).await, "3000 4501500");
    let all = "select count(*)::text from public.r";
    assert_eq!(text(&session, all).await, "3000");
    let seeds = "select count(*)::text from public.h where n < 0";
    assert_eq!(text(&session, seeds).await, "0");
    let low = "select count(*)::text from only public.r_low";
    assert_eq!(text(&session, low).await, "999");
}

#[tokio::test]
async fn the_rows_of_an_extension_stay_and_those_of_its_user_come_back() {
    let world = World::new().await;
    let users = "
        insert into ext.filtered select i, true from generate_series(11, 3000) i;
        update ext.filtered set x = -x where not own;
        insert into ext.whole select generate_series(1, 100)";
    let (_, of) = world.source(&format!("{EXTENSION}; {users}")).await;
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    let session = world.inside(&db).await;
    session
        .batch_execute(EXTENSION)
        .await
        .expect("the extension");
    let restorer = world.restorer(true);
    restored_in_cuts(&world, &restorer, &db, &id).await;
    world.assert_same_rows(&db, &id).await;
    for (sql, expected) in [
        ("select count(*)::text from ext.filtered where own", "2990"),
        ("select sum(x)::text from ext.filtered where not own", "6"),
        ("select count(*)::text from ext.whole", "100"),
    ] {
        assert_eq!(text(&session, sql).await, expected, "{sql}");
    }
}

impl World {
    /// A database made by `sql` in `encoding`, a backup of it, and a session in a staged database
    /// of the encoding `into`.
    async fn encoded(
        &self,
        encoding: &str,
        sql: &str,
        into: &str,
    ) -> (BackupId, Identity, Session) {
        let admin = Session::open(&self.admin(), "test").await.expect("session");
        let run = self.ctx.run.short();
        let names = [encoding, into].map(|e| format!("{}_{run}", e.to_lowercase()));
        let create = format!(
            "create database {} template template0 encoding '{encoding}'",
            names[0]
        );
        admin.batch_execute(&create).await.expect("made");
        let source = Session::open(&self.cluster.endpoint(&names[0]), "test").await;
        let source = source.expect("session");
        source.batch_execute(sql).await.expect("the source");
        let facts = database_facts(&source, DatabaseKey::Current).await;
        let of = facts.expect("facts").identity;
        source.close().await;
        let id = self.take(&of).await;
        let lock = Arc::new(TargetLock::new(self.admin(), of.clone()));
        lock.acquire(&self.ctx).await.expect("the lock");
        let options = ProvisionOptions {
            encoding: Some(into.to_owned()),
            ..ProvisionOptions::default()
        };
        let provision = PgProvision::new(self.admin(), lock.clone(), options);
        let request = ProvisionRequest {
            name: format!("{}_copy", names[1]),
            like: Some(of),
        };
        let made = provision.provision(&self.ctx, &request).await;
        let db = made.expect("made");
        lock.release(&self.ctx).await.expect("released");
        let session = self.inside(&db).await;
        (id, db, session)
    }
}

#[tokio::test]
async fn bytes_of_no_encoding_come_back_as_they_were() {
    let world = World::new().await;
    // Bytes that are no UTF-8, backslashes that end a COPY for a careless reader, and a name.
    let sql = r"
        set client_encoding = 'SQL_ASCII';
        create table public.café (x text, p point);
        insert into public.café values (E'\351', null), (E'\\.', '(1,2)'), (E'\\\n\\N', null);
        create table public.plain (x text);
        insert into public.plain values (E'\351\\'), (E'\\.'), ('\N'), ('\x41'), (E'a\r\nb')";
    let (id, db, session) = world.encoded("SQL_ASCII", sql, "SQL_ASCII").await;
    world.apply(&db, &id).await;
    world.restore(&world.restorer(true), &db, &id).await;
    world.assert_same_rows(&db, &id).await;
    let bytes = "select string_agg(encode(x, 'hex'), ' ' order by x)
                   from (select convert_to(x, 'SQL_ASCII') as x from public.plain) s";
    assert_eq!(
        text(&session, bytes).await,
        "5c2e 5c4e 5c783431 610d0a62 e95c"
    );
}

#[tokio::test]
async fn text_that_the_new_encoding_cannot_hold_is_an_error_and_not_another_text() {
    for (from, sql, into, says) in [
        (
            "UTF8",
            "create table public.t (x text); insert into public.t values ('ok'), ('表')",
            "LATIN1",
            "no equivalent in encoding",
        ),
        (
            "SQL_ASCII",
            "set client_encoding = 'SQL_ASCII'; create table public.t (x text);
             insert into public.t values ('ok'), (E'\\351')",
            "UTF8",
            "invalid byte sequence",
        ),
    ] {
        let world = World::new().await;
        let (id, db, session) = world.encoded(from, sql, into).await;
        world.apply(&db, &id).await;
        let error = world.refused(&world.restorer(true), &db, &id).await;
        let chain = error.chain();
        assert!(
            chain.contains("public.t") && chain.contains(says),
            "{chain}"
        );
        let count = "select count(*)::text from public.t";
        assert_eq!(text(&session, count).await, "0");
    }
    // What it can hold is converted.
    let world = World::new().await;
    let (id, db, session) = world.encoded("LATIN1", LATIN, "UTF8").await;
    world.apply(&db, &id).await;
    world.restore(&world.restorer(true), &db, &id).await;
    assert_eq!(text(&session, LETTERS).await, "éü");
}

/// Letters in rows, names and the schema.
const LATIN: &str = "
    create table public.café (\"größe\" text default 'ü', p point);
    insert into public.café values ('é', '(1,2)'), (default, null);
    create index größe on public.café (\"größe\")";

const LETTERS: &str = "select string_agg(größe, '' order by größe) from public.café";

#[tokio::test]
async fn letters_of_another_encoding_come_back() {
    let world = World::new().await;
    let (id, db, session) = world.encoded("LATIN1", LATIN, "LATIN1").await;
    world.apply(&db, &id).await;
    world.restore(&world.restorer(true), &db, &id).await;
    world.assert_same_rows(&db, &id).await;
    assert_eq!(text(&session, LETTERS).await, "éü");
}

/// A database of the run that somebody has put something into meanwhile.
#[tokio::test]
async fn a_target_that_has_objects_already_is_refused_and_keeps_them() {
    let world = World::new().await;
    let (_, of) = world
        .source("create table t (id int); insert into t values (1)")
        .await;
    let id = world.take(&of).await;
    let db = world.staged(&of).await;
    let session = world.inside(&db).await;
    let theirs = "create table public.theirs (x int); insert into public.theirs values (7)";
    session.batch_execute(theirs).await.expect("theirs");
    // It looks as if the schema had been made, which happens in one transaction.
    world.apply(&db, &id).await;
    let error = world.refused(&world.restorer(true), &db, &id).await;
    assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.chain());
    assert!(error.chain().contains("public.t"), "{}", error.chain());
    let rows = "select sum(x)::text from public.theirs";
    assert_eq!(text(&session, rows).await, "7");

    // One that is not of the run is refused whatever it holds.
    let mut other = world.ctx.clone();
    other.run = RunId::generate();
    let restored = world.restorer(true).restore(&other, &db, &id).await;
    let error = restored.expect_err("another run's");
    assert_eq!(error.kind(), ErrorKind::Refused, "{}", error.chain());
}

#[tokio::test]
async fn a_restore_goes_on_after_its_server_stopped() {
    let world = World::new().await;
    let (_, id, db) = world.ready(SEVERAL).await;
    let restorer = world.restorer(true);
    let (events, mut told) = progress_told();
    let mut ctx = world.ctx.clone();
    ctx.events = events;
    let killing = async {
        told.recv().await.expect("it has begun");
        world.cluster.kill().await.expect("killed");
    };
    let (stopped, ()) = tokio::join!(restorer.restore(&ctx, &db, &id), killing);
    let error = stopped.expect_err("the server is gone");
    let kinds = [ErrorKind::Server, ErrorKind::Unreachable];
    assert!(kinds.contains(&error.kind()), "{}", error.chain());
    world.cluster.launch().await.expect("started again");
    world.restore(&restorer, &db, &id).await;
    world.assert_same_rows(&db, &id).await;
}
