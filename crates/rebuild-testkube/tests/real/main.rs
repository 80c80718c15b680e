//! Real clients speak to the server: what they can do with it, it does right.

#![allow(clippy::unwrap_used)]

mod kubectl;
mod objects;
mod pods;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rebuild_testkube::Cluster;

/// A client of the cluster, as its kubeconfig says.
async fn client(cluster: &Cluster) -> Client {
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}
