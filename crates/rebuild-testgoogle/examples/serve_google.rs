//! Runs a server with one instance of Cloud SQL until it is interrupted, to look at it with
//! `gcloud`, and prints what that must be told.

use rebuild_testgoogle::{Google, GoogleOptions};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let options = GoogleOptions {
        anonymous: true,
        ..GoogleOptions::default()
    };
    let google = Google::start_with(options).await?;
    let order = google.instance("test-project", "europe-west1", "db");
    let instance = order.password("password").create().await?;
    google.create_bucket("test-bucket").grant(
        &format!("serviceAccount:{}", instance.service_account()),
        "roles/storage.objectAdmin",
    );
    let url = google.url();
    println!("export CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true CLOUDSDK_CORE_PROJECT=test-project");
    println!("export CLOUDSDK_API_ENDPOINT_OVERRIDES_SQL={url}/");
    println!("export CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE={url}/storage/v1/");
    println!("psql {}", instance.url("postgres", "password", "postgres"));
    // What the server started ends with it.
    tokio::signal::ctrl_c().await?;
    // Whoever looks may ask for what is not there.
    for violation in google.take_violations() {
        println!("violation: {violation}");
    }
    Ok(())
}
