//! Real clients speak to the server: what they can do with it, it does right.

#![allow(clippy::unwrap_used)]

mod helm;
mod kubectl;
mod objects;
mod pods;
mod python;
mod trouble;
mod workloads;

use std::time::Duration;

use kube::Client;
use kube::api::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{Condition, await_condition};
use rebuild_testkube::Cluster;

/// A client of the cluster, as its kubeconfig says.
async fn client(cluster: &Cluster) -> Client {
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}

/// Waits until an object is as it should be, and gives it.
async fn until<K>(api: &Api<K>, name: &str, condition: impl Condition<K>) -> Option<K>
where
    K: Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + kube::Resource + 'static,
{
    let waiting = await_condition(api.clone(), name, condition);
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    waited
        .unwrap_or_else(|_| panic!("{name} is not as it should be"))
        .unwrap()
}
