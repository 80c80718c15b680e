//! What sessions are, whatever a server, a role or a database would have them be.

use super::*;
use crate::model::Host;
use crate::postgres::LocalCluster;
use crate::testing::{Network, cluster, cluster_options, scratch_database};

/// How long the server may take to notice.
const PATIENCE: Duration = Duration::from_secs(60);

/// A setting, what somebody set for the role, and what ours is.
const SETTINGS: [(&str, &str, &str); 17] = [
    ("search_path", "public", ""),
    ("row_security", "on", "off"),
    ("datestyle", "SQL, DMY", "ISO, YMD"),
    ("intervalstyle", "sql_standard", "postgres"),
    ("timezone", "Asia/Kathmandu", "UTC"),
    ("extra_float_digits", "-15", "3"),
    ("bytea_output", "escape", "hex"),
    ("standard_conforming_strings", "off", "on"),
    ("synchronous_commit", "off", "on"),
    ("statement_timeout", "50ms", "0"),
    ("lock_timeout", "50ms", "0"),
    ("idle_in_transaction_session_timeout", "1min", "0"),
    ("idle_session_timeout", "1min", "0"),
    ("transaction_timeout", "1min", "0"),
    ("client_connection_check_interval", "1h", "5s"),
    ("xmloption", "document", "content"),
    ("client_encoding", "LATIN1", "UTF8"),
];

async fn setting(client: &Client, name: &str) -> Option<String> {
    let sql = "select pg_catalog.current_setting($1, true)";
    let row = client.query_one(sql, &[&name]).await;
    row.expect("an answer").get(0)
}

/// A connection as any client has it.
async fn plain(endpoint: &Endpoint) -> Client {
    let Host::Socket(folder) = &endpoint.host else {
        panic!("the endpoint is a socket");
    };
    let mut config = config(endpoint, "plain");
    config.host_path(folder).port(endpoint.port);
    let (client, connection) = config.connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn what_is_set_for_a_role_or_database_does_not_reach_our_sessions() {
    let cluster = cluster().await.expect("a server");
    let endpoint = scratch_database(&cluster).await.expect("a database");
    let admin = Session::open(&endpoint, "test").await.expect("a session");
    let database = ident(&endpoint.database).expect("a name");
    let mut known = 0;
    for (name, theirs, _) in SETTINGS {
        if setting(&admin, name).await.is_some() {
            let sql =
                format!("alter role postgres in database {database} set {name} to {theirs:?}");
            admin.batch_execute(&sql).await.expect(&sql);
            known += 1;
        }
    }
    assert!(known >= SETTINGS.len() - 3, "{known}");

    let client = plain(&endpoint).await;
    let ours = Session::open(&endpoint, "test").await.expect("a session");
    let sleep = "select pg_catalog.pg_sleep(0.2)";
    let ended = client.batch_execute(sleep).await.expect_err("their limit");
    assert!(ended.to_string().contains("timeout") || ended.as_db_error().is_some());
    ours.batch_execute(sleep).await.expect("no limit of ours");
    for (name, theirs, wanted) in SETTINGS {
        let Some(found) = setting(&ours, name).await else {
            continue;
        };
        assert_eq!(found, wanted, "{name}");
        // The driver asks for an encoding by itself.
        if name != "client_encoding" {
            let before = setting(&client, name).await.expect("known");
            assert_ne!(before, wanted, "{name} was set to {theirs}");
        }
    }
}

#[tokio::test]
async fn a_server_looks_for_clients_that_are_gone() {
    let options = crate::postgres::ClusterOptions {
        tcp_port: Some(0),
        ..cluster_options()
    };
    let cluster = LocalCluster::start(&options).await.expect("a server");
    let endpoint = cluster.tcp_endpoint("postgres").expect("over TCP");
    let session = Session::open(&endpoint, "test").await.expect("a session");
    for (name, wanted) in [
        ("tcp_keepalives_idle", "30"),
        ("tcp_keepalives_interval", "10"),
        ("tcp_keepalives_count", "3"),
    ] {
        let sql = "select setting from pg_catalog.pg_settings where name = $1";
        let row = session.query_one(sql, &[&name]).await.expect("an answer");
        assert_eq!(row.get::<_, &str>(0), wanted, "{name}");
    }
}

/// From 14 on. Before, a server goes on until the statement is done.
#[tokio::test]
async fn the_statement_of_a_client_that_is_gone_is_given_up() {
    let cluster = cluster().await.expect("a server");
    let server = cluster.endpoint("postgres");
    let proxy = Network::before(&server, u64::MAX).await.expect("a proxy");
    let session = Session::open(&proxy.endpoint(), "test").await;
    let session = session.expect("a session");
    let pid = session.backend_pid();
    let sleep = "select pg_catalog.pg_sleep(600)";
    let work = tokio::spawn(async move { session.batch_execute(sleep).await });
    let admin = Session::open(&server, "test").await.expect("a session");
    let count = async |condition: &str| {
        let sql = format!(
            "select pg_catalog.count(*) from pg_catalog.pg_stat_activity
              where pid = $1 and {condition}"
        );
        let row = admin.query_one(&sql, &[&pid]).await.expect("an answer");
        row.get::<_, i64>(0)
    };
    while count("query ~ 'pg_sleep' and state = 'active'").await == 0 {
        tokio::task::yield_now().await;
    }
    drop(proxy);
    let ended = work.await.expect("no panic");
    assert!(ended.expect_err("cut off").is_closed());
    let begins = setting(&admin, "client_connection_check_interval").await;
    assert_eq!(begins.is_some(), cluster.major() >= 14);
    let goes = async {
        while count("true").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    let gone = tokio::time::timeout(PATIENCE, goes).await.is_ok();
    assert_eq!(gone, begins.is_some());
}

#[tokio::test]
async fn a_name_that_the_server_would_cut_is_refused() {
    let cluster = cluster().await.expect("a server");
    let admin = Session::open(&cluster.endpoint("postgres"), "test").await;
    let admin = admin.expect("a session");
    let kept = "x".repeat(63);
    let create = format!("create database {kept}");
    admin.batch_execute(&create).await.expect("a database");
    let longer = cluster.endpoint(&format!("{kept}_of_somebody_else"));
    // The server leads there without a word.
    let there = plain(&longer).await;
    let row = there
        .query_one("select current_database()::text", &[])
        .await;
    assert_eq!(row.expect("an answer").get::<_, String>(0), kept);
    let e = Session::open(&longer, "test").await.err().expect("refused");
    assert!(e.to_string().contains("cannot be a PostgreSQL"), "{e}");
    let mut role = cluster.endpoint("postgres");
    role.user = "r".repeat(64);
    let e = Session::open(&role, "test").await.err().expect("refused");
    assert!(e.to_string().contains("cannot be a PostgreSQL"), "{e}");
    let fits = Session::open(&cluster.endpoint(&kept), "test").await;
    fits.expect("63 bytes are whole");
}
