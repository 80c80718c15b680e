//! Cloud SQL: what the API says happened has happened to a real server.

mod data;
mod instances;

use std::time::Duration;

use rebuild_testgoogle::{Google, SqlInstance};
use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use crate::client::call;

/// How long to wait before asking again; what hangs is ended by the runner of tests.
const POLL: Duration = Duration::from_millis(10);

const PROJECT: &str = "/v1/projects/p";

async fn instance(google: &Google, name: &str) -> SqlInstance {
    let instance = google
        .instance("p", "europe-west1", name)
        .password("pass word");
    instance.create().await.unwrap()
}

/// A session at the socket, as a URL says.
async fn session(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn postgres(instance: &SqlInstance) -> Client {
    session(&instance.url("postgres", "pass word", "postgres")).await
}

async fn number(client: &Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap().get(0)
}

/// Asks for an operation until it is done.
async fn finished(google: &Google, (code, operation): (u16, Value)) -> Value {
    assert_eq!(code, 200, "{operation}");
    assert_eq!(operation["status"], "PENDING");
    let name = operation["name"].as_str().unwrap();
    loop {
        let path = format!("{PROJECT}/operations/{name}");
        let (_, operation) = call(google, "GET", &path, "").await;
        if operation["status"] == "DONE" {
            return operation;
        }
        assert_eq!(operation["status"], "RUNNING");
        tokio::time::sleep(POLL).await;
    }
}

async fn succeeds(google: &Google, http: &str, path: &str, body: Value) -> Value {
    let begun = call(google, http, &format!("{PROJECT}{path}"), &body.to_string()).await;
    let done = finished(google, begun).await;
    assert_eq!(done["error"], Value::Null, "{done}");
    done
}
