//! A role and its password, out of a Secret.

use k8s_openapi::api::core::v1::Secret as SecretObject;

use super::Cluster;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::secret::Secret;

/// Which keys of a Secret hold what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretKeys {
    /// The Secret.
    pub name: String,
    /// The key of the role's name; without it, the URL names the role.
    pub user: Option<String>,
    /// The key of the password.
    pub password: String,
}

/// What a Secret says.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The role.
    pub user: Option<String>,
    /// Its password.
    pub password: Secret,
}

impl Credentials {
    /// Reads them from the cluster.
    ///
    /// # Errors
    /// There is no such Secret or key, or this account may not read it.
    pub async fn read(cluster: &Cluster, ctx: &Ctx, keys: &SecretKeys) -> Result<Self> {
        let what = format!("could not read the Secret {:?}", keys.name);
        let api = cluster.api::<SecretObject>();
        let secret = cluster.ask(ctx, &what, || api.get(&keys.name)).await?;
        let data = secret.data.unwrap_or_default();
        let value = |key: &str| -> Result<String> {
            let bytes = data.get(key).ok_or_else(|| {
                let keys: Vec<&str> = data.keys().map(String::as_str).collect();
                Error::new(ErrorKind::Usage, format!("{what}: it has no key {key:?}"))
                    .hint(format!("it has {}", keys.join(", ")))
            })?;
            String::from_utf8(bytes.0.clone())
                .map_err(|_| Error::usage(format!("{what}: {key:?} is not text")))
        };
        Ok(Self {
            user: keys.user.as_deref().map(value).transpose()?,
            password: Secret::new(value(&keys.password)?),
        })
    }
}
