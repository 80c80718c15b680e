//! Runs a cluster until it is interrupted, to look at it with `kubectl`. The image `shell` runs the
//! container's command on this machine.

use rebuild_testkube::{Cluster, Container, Program};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let cluster = Cluster::start().await?;
    cluster.image("shell", |container: &Container| {
        Program::new(container.command.iter().chain(&container.args))
    });
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    // What the cluster started ends with it.
    tokio::signal::ctrl_c().await
}
