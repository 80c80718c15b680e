//! One namespace of one cluster.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::discovery::{ApiCapabilities, Scope};
use kube::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;

use super::failure::{api_error, is_passing, unusable};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::Ctx;

/// The name of the context that stands for the service account of the pod that this process runs
/// in.
pub const IN_CLUSTER: &str = "in-cluster";

/// How long a request is made again, and how long it may take with its last try.
const AGAIN_WITHIN: Duration = Duration::from_secs(40);
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// What a look for an object of any kind has found.
pub(super) enum Found {
    Object(Box<DynamicObject>),
    Nothing,
    /// This account may not look; why, in the API server's words.
    Forbidden(String),
}

/// Where a cluster is.
#[derive(Clone, Debug)]
pub struct ClusterAddress {
    /// The kubeconfig; without it the files that `KUBECONFIG` names, or `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it, or [`IN_CLUSTER`].
    pub context: String,
    /// The namespace that everything happens in.
    pub namespace: String,
}

/// One namespace of one cluster. Clones share their connections.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    verified: bool,
    context: String,
    namespace: String,
}

impl Cluster {
    /// Reads the kubeconfig. Nothing is asked of the API server yet; a credential plugin that the
    /// kubeconfig names may be run.
    ///
    /// # Errors
    /// The kubeconfig cannot be read, has no such context, or sends credentials over an
    /// unprotected connection.
    pub async fn open(address: &ClusterAddress, environment: &Environment) -> Result<Self> {
        let context = &address.context;
        let config = if context == IN_CLUSTER {
            Config::incluster().map_err(|e| {
                unusable("could not find the service account of this pod", e)
                    .hint("outside a cluster, kubernetes.context names a context of the kubeconfig")
            })?
        } else {
            let options = KubeConfigOptions {
                context: Some(context.clone()),
                ..KubeConfigOptions::default()
            };
            let read = kubeconfig(address.kubeconfig.as_deref(), environment)?;
            let contexts = contexts(&read);
            Config::from_custom_kubeconfig(read, &options)
                .await
                .map_err(|e| {
                    unusable(format!("could not use the context {context:?}"), e).hint(contexts)
                })?
        };
        protected(&config)?;
        Ok(Self {
            verified: !config.accept_invalid_certs,
            client: Client::try_from(config)
                .map_err(|e| unusable(format!("could not use the context {context:?}"), e))?,
            context: context.clone(),
            namespace: address.namespace.clone(),
        })
    }

    /// The context of the kubeconfig.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// False if the kubeconfig says not to verify the API server's certificate.
    pub fn is_verified(&self) -> bool {
        self.verified
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// `namespace gpu-dev of context kind-dev`, for people.
    pub fn describe(&self) -> String {
        format!("namespace {} of context {}", self.namespace, self.context)
    }

    /// Objects of the namespace.
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Objects that belong to no namespace.
    pub(super) fn wide<K>(&self) -> Api<K>
    where
        K: Resource<Scope = ClusterResourceScope>,
        K::DynamicType: Default,
    {
        Api::all(self.client.clone())
    }

    /// Objects of the namespace, of a kind that is known by name alone.
    pub(super) fn api_of(&self, kind: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, kind)
    }

    /// The API that has objects of a kind.
    ///
    /// # Errors
    /// The cluster has no such kind; it could not be asked.
    pub(super) async fn discover(
        &self,
        ctx: &Ctx,
        kind: &GroupVersionKind,
    ) -> Result<(ApiResource, ApiCapabilities)> {
        let what = format!(
            "could not find the kind {} of {}",
            kind.kind,
            kind.api_version()
        );
        let find = || kube::discovery::pinned_kind(&self.client, kind);
        self.ask(ctx, &what, find).await
    }

    /// An object of any kind, in the namespace if its kind has namespaces.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); that this account may not see it is no error.
    pub(super) async fn find(
        &self,
        ctx: &Ctx,
        kind: &GroupVersionKind,
        name: &str,
    ) -> Result<Found> {
        let what = format!("could not read {}/{name}", kind.kind.to_lowercase());
        let look = || async {
            let (resource, known) = kube::discovery::pinned_kind(&self.client, kind).await?;
            let api = match known.scope {
                Scope::Namespaced => self.api_of(&resource),
                Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            };
            api.get(name).await
        };
        let find = || async {
            match look().await {
                Ok(object) => Ok(Found::Object(Box::new(object))),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(Found::Nothing),
                // There is no such kind any more.
                Err(kube::Error::Discovery(_)) => Ok(Found::Nothing),
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    Ok(Found::Forbidden(clean(&status.message)))
                }
                Err(e) => Err(e),
            }
        };
        self.ask(ctx, &what, find).await
    }

    /// Deletes an object. One that is gone is no error, nor one that `params` say is another.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); `shown` is what was to go.
    pub(super) async fn delete<K>(
        &self,
        ctx: &Ctx,
        shown: &str,
        api: &Api<K>,
        name: &str,
        params: &DeleteParams,
    ) -> Result<()>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let conditional = params.preconditions.is_some();
        let delete = || async {
            match api.delete(name, params).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                Err(kube::Error::Api(status)) if status.code == 409 && conditional => Ok(()),
                deleted => deleted.map(|_| ()),
            }
        };
        let what = format!("could not delete {shown}");
        self.ask(ctx, &what, delete).await
    }

    /// Makes a request that may be made twice, and makes it again where the failure is one that
    /// passes: too many requests, a server that is restarting, a connection that broke.
    ///
    /// # Errors
    /// The API server said no; it could not be reached within a minute; the operator stopped.
    pub(super) async fn ask<T, F>(
        &self,
        ctx: &Ctx,
        what: &str,
        request: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(5))
            .with_jitter()
            .with_total_delay(Some(AGAIN_WITHIN))
            .without_max_times();
        let asked = request.retry(backoff).when(is_passing).notify(|e, pause| {
            tracing::debug!(what, error = %e, ?pause, "asking the API server again");
        });
        let asked = async {
            asked
                .await
                .map_err(|e| api_error(what, &self.describe(), e))
        };
        ctx.within(REQUEST_LIMIT, what, asked).await
    }
}

/// The kubeconfig at `path`, or else where `kubectl` looks
/// (<https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>).
fn kubeconfig(path: Option<&Path>, environment: &Environment) -> Result<Kubeconfig> {
    let files: Vec<PathBuf> = match (path, environment.filled("KUBECONFIG")) {
        (Some(path), _) => vec![path.to_owned()],
        (None, Some(list)) => std::env::split_paths(list).collect(),
        (None, None) => {
            let home = environment.filled("HOME").ok_or_else(|| {
                Error::usage("there is no kubeconfig: neither KUBECONFIG nor HOME is set")
            })?;
            vec![Path::new(home).join(".kube/config")]
        }
    };
    let mut merged = Kubeconfig::default();
    for file in files.iter().filter(|file| !file.as_os_str().is_empty()) {
        // kubectl passes over files of the list that do not exist.
        if files.len() > 1 && !file.exists() {
            continue;
        }
        let what = format!("could not read the kubeconfig {}", file.display());
        let read = Kubeconfig::read_from(file).map_err(|e| unusable(what.clone(), e))?;
        merged = merged.merge(read).map_err(|e| unusable(what, e))?;
    }
    Ok(merged)
}

fn contexts(kubeconfig: &Kubeconfig) -> String {
    let names: Vec<&str> = kubeconfig.contexts.iter().map(|c| &*c.name).collect();
    match names[..] {
        [] => "the kubeconfig has no contexts".to_owned(),
        _ => format!("the kubeconfig has the contexts {}", names.join(", ")),
    }
}

/// A token that goes over plain HTTP is anybody's. `kubectl proxy` on this machine is no danger.
fn protected(config: &Config) -> Result<()> {
    let url = &config.cluster_url;
    let here = matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme_str() == Some("https") || here {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Usage,
        format!("the API server's address {url} is not protected by TLS"),
    )
    .hint("give the cluster an https:// address in the kubeconfig"))
}
