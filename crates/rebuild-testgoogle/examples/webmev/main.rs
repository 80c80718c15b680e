//! Runs what `examples/webmev` of the repository needs of Google Cloud until it is interrupted, and
//! prints what the shell must be told that runs the example.

mod cloud;

use self::cloud::Cloud;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let cloud = Cloud::start().await?;
    println!("{}", cloud.exports()?);
    // What the server started ends with it.
    tokio::signal::ctrl_c().await?;
    // Whoever looks may ask for what is not there.
    for violation in cloud.google.take_violations() {
        println!("violation: {violation}");
    }
    Ok(())
}
