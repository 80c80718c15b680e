//! `gcloud` finds here what it finds at Google.

use rebuild_testgoogle::{Google, GoogleOptions, SqlInstance};

use crate::cli::{PROJECT, ok, refused};

async fn google() -> (Google, SqlInstance) {
    let options = GoogleOptions {
        anonymous: true,
        shown_running: 0,
        ..GoogleOptions::default()
    };
    let google = Google::start_with(options).await.unwrap();
    let order = google
        .instance(PROJECT, "europe-west1", "db")
        .password("pass word");
    let instance = order.create().await.unwrap();
    (google, instance)
}

async fn query(instance: &SqlInstance, query: &str) {
    let url = instance.url("postgres", "pass word", "postgres");
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client.batch_execute(query).await.unwrap();
}

#[tokio::test]
#[ignore = "needs gcloud and bq; make test runs it where they are"]
async fn backups_are_created_listed_described_and_restored() {
    let (google, instance) = google().await;
    query(&instance, "create table t as select 1 as a").await;
    ok(
        &google,
        "sql backups create --instance db --description nightly",
    )
    .await;
    let listed = ok(
        &google,
        "sql backups list --instance db --format value(id,status)",
    )
    .await;
    let (id, status) = listed.split_once('\t').unwrap();
    assert_eq!(status, "SUCCESSFUL");
    let line = format!("sql backups describe {id} --instance db --format value(description,type)");
    assert_eq!(ok(&google, &line).await, "nightly\tON_DEMAND");
    query(&instance, "drop table t").await;
    ok(
        &google,
        &format!("sql backups restore {id} --restore-instance db --backup-instance db"),
    )
    .await;
    query(&instance, "select from t").await;
    ok(&google, &format!("sql backups delete {id} --instance db")).await;
    assert_eq!(
        ok(&google, "sql backups list --instance db --format value(id)").await,
        ""
    );
}

#[tokio::test]
#[ignore = "needs gcloud and bq; make test runs it where they are"]
async fn a_database_is_exported_dropped_made_and_imported() {
    let (google, instance) = google().await;
    let bucket = google.create_bucket("dumps");
    let export = "sql export sql db gs://dumps/a.sql.gz --database app";
    ok(&google, "sql databases create app --instance db").await;
    let said = refused(&google, export).await;
    assert!(
        said.contains("does not have the required permissions for the bucket"),
        "{said}"
    );
    let member = format!("serviceAccount:{}", instance.service_account());
    bucket.grant(&member, "roles/storage.objectUser");
    ok(&google, export).await;
    assert_eq!(
        ok(&google, "storage ls gs://dumps").await,
        "gs://dumps/a.sql.gz"
    );
    ok(&google, "sql databases delete app --instance db").await;
    let listed = ok(
        &google,
        "sql databases list --instance db --format value(name)",
    )
    .await;
    assert_eq!(listed, "postgres");
    let import = "sql import sql db gs://dumps/a.sql.gz --database app --user postgres";
    let said = refused(&google, import).await;
    assert!(said.contains("database \"app\" does not exist"), "{said}");
    ok(&google, "sql databases create app --instance db").await;
    ok(&google, import).await;
}

#[tokio::test]
#[ignore = "needs gcloud and bq; make test runs it where they are"]
async fn an_instance_is_described_protected_and_deleted() {
    let (google, _) = google().await;
    let described = "sql instances describe db --format value(connectionName,state)";
    assert_eq!(
        ok(&google, described).await,
        "test-project:europe-west1:db\tRUNNABLE"
    );
    ok(&google, "sql instances patch db --deletion-protection").await;
    let said = refused(&google, "sql instances delete db").await;
    assert!(said.contains("The instance is protected"), "{said}");
    ok(&google, "sql instances patch db --no-deletion-protection").await;
    ok(&google, "sql backups create --instance db").await;
    ok(&google, "sql instances delete db --enable-final-backup").await;
    assert_eq!(
        ok(&google, "sql instances list --format value(name)").await,
        ""
    );
    let listed = ok(
        &google,
        "sql backups list --project test-project --format value(type)",
    )
    .await;
    assert_eq!(listed, "FINAL");
    let said = refused(&google, "sql instances describe db").await;
    assert!(said.contains("does not exist"), "{said}");
}
