//! Instances come, change and go.

use rebuild_testgoogle::{Google, SqlInstance};
use serde_json::json;
use tokio_postgres::NoTls;

use super::{PROJECT, instance, number, postgres, session, succeeds};
use crate::client::call;

/// The protocol that `psql` uses when it verifies the server as the instance says.
async fn with_tls(google: &Google, instance: &SqlInstance) -> String {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("server-ca.pem");
    std::fs::write(&root, instance.server_ca()).unwrap();
    let path = format!("{PROJECT}/instances/db");
    let (_, found) = call(google, "GET", &path, "").await;
    let name = found["dnsName"].as_str().unwrap().trim_end_matches('.');
    let text = format!(
        "host={name} hostaddr=127.0.0.1 port={} user=postgres dbname=postgres sslmode=verify-full \
         sslrootcert={}",
        instance.port(),
        root.display()
    );
    let output = tokio::process::Command::new("psql")
        .args([
            "-XAt",
            "-c",
            "select version from pg_stat_ssl where pid = pg_backend_pid()",
            &text,
        ])
        .env("PGPASSWORD", "pass word")
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_server_is_set_up_as_the_managed_service_does() {
    let google = Google::start().await.unwrap();
    let made = instance(&google, "db").await;
    let client = postgres(&made).await;
    let superusers = "select count(*) from pg_roles where rolsuper";
    assert_eq!(number(&client, superusers).await, 1);
    let member = "select count(*) from pg_roles where pg_has_role('postgres', oid, 'member') \
                  and rolname in ('cloudsqlsuperuser', 'pg_monitor', 'pg_signal_backend')";
    assert_eq!(number(&client, member).await, 3);
    client.batch_execute("create database app").await.unwrap();
    let refused = client
        .batch_execute("alter role postgres superuser")
        .await
        .unwrap_err();
    assert!(
        refused
            .as_db_error()
            .unwrap()
            .message()
            .contains("superuser")
    );
    let admin = made.url("postgres", "pass word", "cloudsqladmin");
    assert!(tokio_postgres::connect(&admin, NoTls).await.is_err());
    let superuser = session(&made.superuser_url("app")).await;
    assert_eq!(
        number(&superuser, "select count(*) from pg_stat_ssl where ssl").await,
        0
    );

    let (_, found) = call(&google, "GET", &format!("{PROJECT}/instances/db"), "").await;
    assert_eq!(found["connectionName"], "p:europe-west1:db");
    assert_eq!(found["state"], "RUNNABLE");
    assert_eq!(found["serverCaCert"]["cert"], made.server_ca());
    let (_, settings) = call(
        &google,
        "GET",
        &format!("{PROJECT}/instances/db/connectSettings"),
        "",
    )
    .await;
    assert_eq!(settings["ipAddresses"][0]["ipAddress"], "127.0.0.1");
    let shown = with_tls(&google, &made).await;
    assert!(shown.starts_with("TLSv1."), "{shown}");
    assert!(
        google
            .socket_folder()
            .join("p:europe-west1:db/.s.PGSQL.5432")
            .exists()
    );
}

#[tokio::test]
async fn an_instance_is_made_changed_and_deleted() {
    let google = Google::start().await.unwrap();
    let order = json!({
        "name": "db", "region": "europe-west1", "rootPassword": "pass word",
        "settings": {"tier": "db-f1-micro", "deletionProtectionEnabled": true},
    });
    let done = succeeds(&google, "POST", "/instances", order.clone()).await;
    assert_eq!(done["operationType"], "CREATE");
    let made = google.sql_instance("p", "db").unwrap();
    postgres(&made)
        .await
        .batch_execute("create table t as select 1 as a")
        .await
        .unwrap();
    let path = format!("{PROJECT}/instances/db");
    assert_eq!(
        call(
            &google,
            "POST",
            &format!("{PROJECT}/instances"),
            &order.to_string()
        )
        .await
        .0,
        409
    );
    let (code, said) = call(&google, "DELETE", &path, "").await;
    assert!(
        code == 400 && said.to_string().contains("protected"),
        "{said}"
    );
    let patch = json!({"settings": {
        "deletionProtectionEnabled": false, "databaseFlags": [{"name": "work_mem", "value": "5MB"}],
    }});
    succeeds(&google, "PATCH", "/instances/db", patch).await;
    let client = postgres(&made).await;
    let shown: String = client.query_one("show work_mem", &[]).await.unwrap().get(0);
    assert_eq!(shown, "5MB");
    drop(client);

    let clone = json!({"cloneContext": {"destinationInstanceName": "copy"}});
    succeeds(&google, "POST", "/instances/db/clone", clone).await;
    let copy = google.sql_instance("p", "copy").unwrap();
    assert_eq!(
        number(&postgres(&copy).await, "select count(*) from t").await,
        1
    );

    succeeds(&google, "POST", "/instances/db/backupRuns", json!({})).await;
    let socket = made.socket_folder();
    succeeds(
        &google,
        "DELETE",
        "/instances/db?enableFinalBackup=true",
        json!({}),
    )
    .await;
    assert_eq!(call(&google, "GET", &path, "").await.0, 404);
    assert!(!socket.exists());
    let (_, left) = call(&google, "GET", &format!("{PROJECT}/backups"), "").await;
    let left = left["backups"].as_array().unwrap();
    assert_eq!((left.len(), &left[0]["type"]), (1, &json!("FINAL")));
    succeeds(
        &google,
        "POST",
        "/instances/copy/restoreBackup",
        json!({"backup": left[0]["name"]}),
    )
    .await;
}

#[tokio::test]
async fn an_instance_is_stopped_and_started() {
    let google = Google::start().await.unwrap();
    let made = instance(&google, "db").await;
    let policy = |policy: &str| json!({"settings": {"activationPolicy": policy}});
    succeeds(&google, "PATCH", "/instances/db", policy("NEVER")).await;
    let url = made.url("postgres", "pass word", "postgres");
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err());
    let path = format!("{PROJECT}/instances/db");
    // The policy alone says that it is stopped.
    assert_eq!(call(&google, "GET", &path, "").await.1["state"], "RUNNABLE");
    assert_eq!(
        call(&google, "GET", &format!("{path}/databases"), "")
            .await
            .0,
        400
    );
    succeeds(&google, "PATCH", "/instances/db", policy("ALWAYS")).await;
    drop(postgres(&made).await);
}

#[tokio::test]
async fn replicas_stand_in_the_way() {
    let google = Google::start().await.unwrap();
    let order = google
        .instance("p", "europe-west1", "db")
        .replica("db-replica");
    order.create().await.unwrap();
    let (_, found) = call(&google, "GET", &format!("{PROJECT}/instances/db"), "").await;
    assert_eq!(found["replicaNames"], json!(["db-replica"]));
    let done = succeeds(&google, "POST", "/instances/db/backupRuns", json!({})).await;
    let restore = json!({"backup": done["backupContext"]["name"]}).to_string();
    let path = format!("{PROJECT}/instances/db");
    assert_eq!(call(&google, "DELETE", &path, "").await.0, 400);
    assert_eq!(
        call(&google, "POST", &format!("{path}/restoreBackup"), &restore)
            .await
            .0,
        400
    );
    succeeds(&google, "DELETE", "/instances/db-replica", json!({})).await;
    let retain = json!({"settings": {"retainBackupsOnDelete": true}});
    succeeds(&google, "PATCH", "/instances/db", retain).await;
    succeeds(&google, "DELETE", "/instances/db", json!({})).await;
    let (_, left) = call(&google, "GET", &format!("{PROJECT}/backups"), "").await;
    assert_eq!(left["backups"][0]["type"], "ON_DEMAND");
    assert!(left["backups"][0]["instanceDeletionTime"].is_string());
}
