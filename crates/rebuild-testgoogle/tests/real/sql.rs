//! Cloud SQL: what the API says happened has happened to a real server.

use rebuild_testgoogle::{Failure, Google, OperationFault, SqlInstance};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::client::call;

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
    }
}

async fn succeeds(google: &Google, http: &str, path: &str, body: Value) -> Value {
    let begun = call(google, http, &format!("{PROJECT}{path}"), &body.to_string()).await;
    let done = finished(google, begun).await;
    assert_eq!(done["error"], Value::Null, "{done}");
    done
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
    assert!(
        google
            .socket_folder()
            .join("p:europe-west1:db/.s.PGSQL.5432")
            .exists()
    );
}

#[tokio::test]
async fn a_backup_is_restored_to_its_instance_and_to_another() {
    let google = Google::start().await.unwrap();
    let (one, two) = tokio::join!(instance(&google, "one"), instance(&google, "two"));
    let client = postgres(&one).await;
    client
        .batch_execute("create table t as select 1 as a")
        .await
        .unwrap();
    let done = succeeds(
        &google,
        "POST",
        "/instances/one/backupRuns",
        json!({"description": "d"}),
    )
    .await;
    let id = done["backupContext"]["backupId"].as_str().unwrap();
    let (_, run) = call(
        &google,
        "GET",
        &format!("{PROJECT}/instances/one/backupRuns/{id}"),
        "",
    )
    .await;
    assert_eq!(
        (&run["status"], &run["description"]),
        (&json!("SUCCESSFUL"), &json!("d"))
    );
    assert!(
        run["maxChargeableBytes"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 1_000_000
    );
    client
        .batch_execute("insert into t values (2); create table u ()")
        .await
        .unwrap();

    let context =
        json!({"restoreBackupContext": {"backupRunId": id, "instanceId": "one", "project": "p"}});
    for (target, made) in [("one", &one), ("two", &two)] {
        succeeds(
            &google,
            "POST",
            &format!("/instances/{target}/restoreBackup"),
            context.clone(),
        )
        .await;
        let client = postgres(made).await;
        assert_eq!(
            number(&client, "select count(*) from t").await,
            1,
            "{target}"
        );
        let others = "select count(*) from pg_class where relname = 'u'";
        assert_eq!(number(&client, others).await, 0, "{target}");
    }
    let by_name = json!({"backup": done["backupContext"]["name"]});
    succeeds(&google, "POST", "/instances/two/restoreBackup", by_name).await;
    succeeds(
        &google,
        "DELETE",
        &format!("/instances/one/backupRuns/{id}"),
        json!({}),
    )
    .await;
    let (_, runs) = call(
        &google,
        "GET",
        &format!("{PROJECT}/instances/one/backupRuns"),
        "",
    )
    .await;
    assert_eq!(runs["items"], json!([]));
    let (code, _) = call(
        &google,
        "POST",
        &format!("{PROJECT}/instances/two/restoreBackup"),
        &context.to_string(),
    )
    .await;
    assert_eq!(code, 404);
}

#[tokio::test]
async fn an_instance_has_one_operation_at_a_time_and_tells_how_it_ends() {
    let google = Google::start().await.unwrap();
    let made = instance(&google, "db").await;
    let path = format!("{PROJECT}/instances/db/backupRuns");
    let held = google.fault_operation("sql.backupRuns.insert", OperationFault::Hold);
    let begun = call(&google, "POST", &path, "{}").await;
    assert_eq!(held.struck(), 1);
    let (code, said) = call(&google, "POST", &path, "{}").await;
    assert_eq!(
        (code, &said["error"]["errors"][0]["reason"]),
        (409, &json!("operationInProgress"))
    );
    let (_, runs) = call(&google, "GET", &path, "").await;
    assert_ne!(runs["items"][0]["status"], "SUCCESSFUL");
    held.release();
    assert_eq!(finished(&google, begun).await["error"], Value::Null);

    let failure = Failure::new("INTERNAL_ERROR", "no luck");
    google.fault_operation(
        "sql.databases.delete",
        OperationFault::Fail(failure.clone()),
    );
    google.fault_operation("sql.databases.delete", OperationFault::FailAfter(failure));
    postgres(&made)
        .await
        .batch_execute("create database app owner cloudsqlsuperuser")
        .await
        .unwrap();
    let databases = "select count(*) from pg_database where datname = 'app'";
    for left in [1, 0] {
        let begun = call(
            &google,
            "DELETE",
            &format!("{PROJECT}/instances/db/databases/app"),
            "",
        )
        .await;
        let done = finished(&google, begun).await;
        assert_eq!(done["error"]["errors"][0]["message"], "no luck");
        assert_eq!(number(&postgres(&made).await, databases).await, left);
    }
    google.fault_operation("sql.instances.restart", OperationFault::Never);
    let (_, begun) = call(
        &google,
        "POST",
        &format!("{PROJECT}/instances/db/restart"),
        "",
    )
    .await;
    let path = format!("{PROJECT}/operations/{}", begun["name"].as_str().unwrap());
    for _ in 0..5 {
        assert_eq!(call(&google, "GET", &path, "").await.1["status"], "RUNNING");
    }
}

#[tokio::test]
async fn databases_and_users_are_made_and_dropped() {
    let google = Google::start().await.unwrap();
    let made = instance(&google, "db").await;
    succeeds(
        &google,
        "POST",
        "/instances/db/databases",
        json!({"name": "app"}),
    )
    .await;
    let databases = format!("{PROJECT}/instances/db/databases");
    let (code, said) = call(&google, "POST", &databases, "{\"name\": \"app\"}").await;
    let message = said["error"]["message"].as_str().unwrap();
    assert!(
        code == 400 && message.contains("already exists"),
        "{message}"
    );
    let (_, listed) = call(&google, "GET", &databases, "").await;
    let names: Vec<&str> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["app", "postgres"]);

    succeeds(
        &google,
        "POST",
        "/instances/db/users",
        json!({"name": "u", "password": "one"}),
    )
    .await;
    let client = session(&made.url("u", "one", "app")).await;
    let (code, said) = call(&google, "DELETE", &format!("{databases}/app"), "").await;
    let message = said["error"]["message"].as_str().unwrap();
    assert!(
        code == 400 && message.contains("being accessed by other users"),
        "{message}"
    );
    drop(client);
    succeeds(
        &google,
        "PUT",
        "/instances/db/users?name=u",
        json!({"password": "two"}),
    )
    .await;
    drop(session(&made.url("u", "two", "app")).await);
    assert!(
        tokio_postgres::connect(&made.url("u", "one", "app"), NoTls)
            .await
            .is_err()
    );
    succeeds(&google, "DELETE", "/instances/db/users?name=u", json!({})).await;
    postgres(&made)
        .await
        .batch_execute("create database other")
        .await
        .unwrap();
    let (code, said) = call(&google, "DELETE", &format!("{databases}/other"), "").await;
    assert!(
        code == 400 && said.to_string().contains("must be owner"),
        "{said}"
    );
    assert_eq!(
        call(&google, "GET", &format!("{databases}/none"), "")
            .await
            .0,
        404
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
    succeeds(&google, "DELETE", "/instances/db", json!({})).await;
}

#[tokio::test]
async fn a_database_goes_through_a_bucket() {
    let google = Google::start().await.unwrap();
    let made = instance(&google, "db").await;
    let bucket = google.create_bucket("dumps");
    postgres(&made)
        .await
        .batch_execute("create table t as select 1 as a")
        .await
        .unwrap();
    let path = format!("{PROJECT}/instances/db/export");
    let export = json!({"exportContext": {
        "fileType": "SQL", "uri": "gs://dumps/x/a.sql.gz", "databases": ["postgres"],
    }});
    let (code, said) = call(&google, "POST", &path, &export.to_string()).await;
    assert!(
        code == 403 && said.to_string().contains("required permissions"),
        "{said}"
    );
    let member = format!("serviceAccount:{}", made.service_account());
    bucket.grant(&member, "roles/storage.objectAdmin");
    let done = succeeds(&google, "POST", "/instances/db/export", export.clone()).await;
    assert_eq!(done["exportContext"], export["exportContext"]);
    assert_eq!(bucket.names(), ["x/a.sql.gz"]);

    succeeds(
        &google,
        "POST",
        "/instances/db/databases",
        json!({"name": "app"}),
    )
    .await;
    let import = json!({"importContext": {
        "fileType": "SQL", "uri": "gs://dumps/x/a.sql.gz", "database": "app", "importUser": "postgres",
    }});
    succeeds(&google, "POST", "/instances/db/import", import.clone()).await;
    let client = session(&made.url("postgres", "pass word", "app")).await;
    assert_eq!(number(&client, "select count(*) from t").await, 1);
    let begun = call(
        &google,
        "POST",
        &format!("{PROJECT}/instances/db/import"),
        &import.to_string(),
    )
    .await;
    let done = finished(&google, begun).await;
    let message = done["error"]["errors"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("relation \"t\" already exists"),
        "{message}"
    );
}
