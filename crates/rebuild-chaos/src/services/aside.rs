//! A server that stays, with the old database and the new one in it.

use std::time::{Duration, Instant};

use rebuild_core::model::Endpoint;
use rebuild_core::postgres::{Session, ident};

use super::{DATABASE, PATIENCE, Picture, Service, open};
use crate::trial::Ended;
use crate::world::State;

/// Whoever looks at the server is in this database.
const MAINTENANCE: &str = "postgres";

/// The old database is there, whatever its name is, with every row.
pub(super) async fn expect_rows<S: Service>(service: &S, old: &Picture) {
    let session = open(&service.endpoint(MAINTENANCE).await).await;
    let asked = "select datname::text, datallowconn from pg_catalog.pg_database where oid = $1";
    let row = session.query_opt(asked, &[&old.identity.1]).await;
    let row = row
        .expect("databases")
        .expect("ROWS LOST: the old database is there");
    let (name, open_to_all): (String, bool) = (row.get(0), row.get(1));
    allow(&session, &name, true).await;
    let kept = State::at(&service.tools(), &service.endpoint(&name).await).await;
    allow(&session, &name, open_to_all).await;
    session.close().await;
    let lost = kept.rows_lost(&old.state);
    assert!(lost.is_empty(), "ROWS LOST in the old database: {lost:?}");
}

async fn allow(session: &Session, database: &str, connections: bool) {
    let database = ident(database).expect("a name");
    let allow = format!("alter database {database} allow_connections {connections}");
    session.batch_execute(&allow).await.expect("a setting");
}

/// No database, lock or slot is left that nobody knows.
pub(super) async fn expect_nothing_left<S: Service>(service: &S, ended: Ended) {
    let session = open(&service.endpoint(MAINTENANCE).await).await;
    let others = format!(
        "select datname::text from pg_catalog.pg_database where datname like '{DATABASE}_%'"
    );
    let others = session.query(&others, &[]).await.expect("databases");
    let others: Vec<String> = others.iter().map(|row| row.get(0)).collect();
    let kept = match ended {
        Ended::New => 1..=1,
        Ended::Old => 0..=1,
        Ended::Untouched => 0..=0,
    };
    assert!(kept.contains(&others.len()), "{ended:?}: {others:?}");
    // What a look at the schema made and could not remove carries a mark, by which a later one does.
    let left = "select 'a lock of ' || pid from pg_catalog.pg_locks where locktype = 'advisory'
                union all select 'slot ' || slot_name from pg_catalog.pg_replication_slots
                union all select 'transaction ' || gid from pg_catalog.pg_prepared_xacts
                union all select 'database ' || datname from pg_catalog.pg_database
                           where datname like 'rebuild_scratch%'
                             and pg_catalog.shobj_description(oid, 'pg_database') is null";
    // A session whose client was killed takes a moment to notice.
    let until = Instant::now() + PATIENCE;
    loop {
        let rows = session.query(left, &[]).await.expect("what is left");
        if rows.is_empty() {
            break;
        }
        let left: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(Instant::now() < until, "left, {ended:?}: {left:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    session.close().await;
}

/// Ends the sessions of all others, and says how many there were.
pub(super) async fn end_sessions(server: &Endpoint) -> usize {
    let session = open(server).await;
    let end = "select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity
                where pid <> pg_catalog.pg_backend_pid() and backend_type = 'client backend'";
    let ended = session.query(end, &[]).await.expect("sessions");
    session.close().await;
    ended.len()
}
