//! Runs what `examples/whatup` of the repository needs of Google Cloud until it is interrupted, and
//! prints what the shell must be told that runs the example.

mod cloud;

use std::path::Path;

use self::cloud::{Cloud, REGION};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/whatup");
    let path = std::env::var("PATH").unwrap_or_default();
    let cloud = Cloud::start(&example.canonicalize()?, &path).await?;
    println!("{}", cloud.exports()?);
    // What the server started ends with it.
    tokio::signal::ctrl_c().await?;
    for job in ["whatup-schema", "whatup-load"] {
        println!(
            "{job}: {} executions",
            cloud.google.executions(REGION, job).len()
        );
    }
    for query in &cloud.queries {
        println!("{query}: {} runs", cloud.google.transfer_runs(query).len());
    }
    // Whoever looks may ask for what is not there.
    for violation in cloud.google.take_violations() {
        println!("violation: {violation}");
    }
    Ok(())
}
