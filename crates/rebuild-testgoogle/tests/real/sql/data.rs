//! What is in an instance: backups, restores, databases, users, and files in buckets.

use rebuild_testgoogle::{Failure, Google, OperationFault};
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use super::{PROJECT, finished, instance, number, postgres, session, succeeds};
use crate::client::call;

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
    let path = format!("{PROJECT}/instances/one/backupRuns?maxResults=0");
    let (_, runs) = call(&google, "GET", &path, "").await;
    assert_eq!(runs["items"][0]["id"], id);
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
    let begun = call(&google, "POST", &path, &export.to_string()).await;
    let done = finished(&google, begun).await;
    let message = done["error"]["errors"][0]["message"].as_str().unwrap();
    assert_eq!(message, "The file exists already.");
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
