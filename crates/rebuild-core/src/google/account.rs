//! Who asks: application default credentials.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use google_cloud_auth::credentials::{
    AccessTokenCredentials, CacheableResource, CredentialsProvider, external_account, impersonated,
    mds, service_account, user_account,
};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap};
use serde_json::Value;

use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

const LOG_IN: &str = "gcloud auth application-default login, or name the key file of a service account in \
     GOOGLE_APPLICATION_CREDENTIALS";

/// What a token may be used for. What the account may do is IAM's to say.
const PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The scope of a token that a database takes for a password
/// (<https://cloud.google.com/sql/docs/postgres/iam-logins>).
const DATABASE_LOGIN: &str = "https://www.googleapis.com/auth/sqlservice.login";

/// Where the credentials come from.
#[derive(Clone)]
enum Origin {
    /// A file, and what is in it.
    File(PathBuf, Value),
    /// The metadata server of the machine, or another address of it.
    Metadata(Option<String>),
}

/// Application default credentials
/// (<https://cloud.google.com/docs/authentication/application-default-credentials>). Clones share
/// the token.
#[derive(Clone)]
pub struct Account {
    origin: Arc<Origin>,
    /// A token is kept until shortly before it runs out. One that was revoked earlier goes with it.
    current: Arc<RwLock<AccessTokenCredentials>>,
}

impl Account {
    /// Finds them: in `file`, where `GOOGLE_APPLICATION_CREDENTIALS` says, where `gcloud` keeps them, or
    /// at the metadata server. No token is asked for yet.
    ///
    /// # Errors
    /// A file cannot be read, or holds no credentials.
    pub fn find(file: Option<&Path>, environment: &Environment) -> Result<Self> {
        let origin = origin(file, environment)?;
        let current = build(&origin, PLATFORM)?;
        Ok(Self {
            origin: Arc::new(origin),
            current: Arc::new(RwLock::new(current)),
        })
    }

    /// Where they come from, for people.
    pub fn describe(&self) -> String {
        match &*self.origin {
            Origin::File(file, _) => format!("the credentials in {}", file.display()),
            Origin::Metadata(_) => "the account of this machine".to_owned(),
        }
    }

    /// Throws the token away that was not accepted; the next request asks for another.
    ///
    /// # Errors
    /// The credentials cannot be used any more.
    pub(super) fn renew(&self) -> Result<()> {
        let fresh = build(&self.origin, PLATFORM)?;
        if let Ok(mut current) = self.current.write() {
            *current = fresh;
        }
        Ok(())
    }

    /// A token that opens nothing but databases, for the IAM login of a role.
    ///
    /// # Errors
    /// There is none to be had.
    pub async fn database_password(&self) -> Result<Secret> {
        let credentials = build(&self.origin, DATABASE_LOGIN)?;
        let token = credentials.access_token().await.map_err(|e| {
            Error::new(
                ErrorKind::Unreachable,
                "could not get a token for the login at the database",
            )
            .caused_by(Error::new(ErrorKind::Unreachable, innermost(&e)))
            .hint(LOG_IN)
        })?;
        Ok(Secret::new(token.token))
    }

    fn current(&self) -> Option<AccessTokenCredentials> {
        self.current.read().ok().map(|current| current.clone())
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

impl CredentialsProvider for Account {
    async fn headers(
        &self,
        extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        match self.current() {
            Some(current) => current.headers(extensions).await,
            None => Err(CredentialsError::from_msg(false, "a thread has failed")),
        }
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

fn origin(file: Option<&Path>, environment: &Environment) -> Result<Origin> {
    let named = environment.filled("GOOGLE_APPLICATION_CREDENTIALS");
    if let Some(file) = file.or(named.map(Path::new)) {
        return read(file);
    }
    let folder = environment.filled("CLOUDSDK_CONFIG").map(PathBuf::from);
    let home = || Some(Path::new(environment.filled("HOME")?).join(".config/gcloud"));
    let usual = folder
        .or_else(home)
        .map(|folder| folder.join("application_default_credentials.json"));
    match usual.filter(|file| file.is_file()) {
        Some(file) => read(&file),
        None => Ok(Origin::Metadata(
            environment.filled("GCE_METADATA_HOST").map(metadata_at),
        )),
    }
}

fn metadata_at(host: &str) -> String {
    if host.contains("://") {
        host.to_owned()
    } else {
        format!("http://{host}")
    }
}

fn read(file: &Path) -> Result<Origin> {
    let what = format!("could not read the credentials in {}", file.display());
    let text = std::fs::read_to_string(file)
        .map_err(|e| Error::usage(&*what).caused_by(e).hint(LOG_IN))?;
    // What is wrong with it might be quoted, and it holds a key.
    let value: Value = serde_json::from_str(&text)
        .map_err(|_| Error::usage(&*what).caused_by(Error::usage("it is not JSON")))?;
    Ok(Origin::File(file.to_owned(), value))
}

fn build(origin: &Origin, scope: &str) -> Result<AccessTokenCredentials> {
    let (file, value) = match origin {
        Origin::File(file, value) => (file, value),
        Origin::Metadata(at) => {
            let mut builder = mds::Builder::default().with_scopes([scope]);
            if let Some(at) = at {
                builder = builder.with_endpoint(at);
            }
            return builder.build_access_token_credentials().map_err(|e| {
                Error::usage("the account of this machine cannot be used")
                    .caused_by(Error::usage(innermost(&e)))
                    .hint(LOG_IN)
            });
        }
    };
    let given = value.clone();
    let built = match value["type"].as_str() {
        Some("authorized_user") => user_account::Builder::new(given)
            // A user's consent covers databases without asking.
            .build_access_token_credentials(),
        Some("service_account") => service_account::Builder::new(given)
            .with_access_specifier(service_account::AccessSpecifier::from_scopes([scope]))
            .build_access_token_credentials(),
        Some("impersonated_service_account") => impersonated::Builder::new(given)
            .with_scopes([scope])
            .build_access_token_credentials(),
        Some("external_account") => external_account::Builder::new(given)
            .with_scopes([scope])
            .build_access_token_credentials(),
        _ => {
            return Err(Error::usage(format!(
                "{} does not say which credentials it holds",
                file.display()
            ))
            .hint(LOG_IN));
        }
    };
    built.map_err(|e| {
        let what = format!("the credentials in {} cannot be used", file.display());
        // The cause may quote a key.
        let why: String = innermost(&e).chars().take(200).collect();
        Error::usage(what).caused_by(Error::usage(why)).hint(LOG_IN)
    })
}

fn innermost(e: &(dyn std::error::Error + 'static)) -> String {
    super::failure::innermost(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn credentials_are_found_where_google_looks_and_told_without_their_secrets() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("application_default_credentials.json");
        let at = folder.path().display().to_string();
        let found = |name: &str, value: &str| {
            Account::find(None, &Environment::of([(name, value)])).map(|a| a.describe())
        };
        assert_eq!(
            found("CLOUDSDK_CONFIG", &at).expect("the machine's"),
            "the account of this machine"
        );
        std::fs::write(&file, "{\"type\": \"hunter2\"").expect("a file");
        let e = found("CLOUDSDK_CONFIG", &at).expect_err("no JSON");
        assert!(e.is_refusal() && !e.chain().contains("hunter2"), "{e:?}");
        std::fs::write(&file, "{\"type\": \"nothing\"}").expect("a file");
        let e = found("CLOUDSDK_CONFIG", &at).expect_err("no type");
        assert!(e.to_string().contains("does not say"), "{e:?}");
        let user = r#"{"type": "authorized_user", "client_id": "a", "client_secret": "hunter2",
                       "refresh_token": "hunter2"}"#;
        std::fs::write(&file, user).expect("a file");
        let named = file.display().to_string();
        for (name, value) in [
            ("CLOUDSDK_CONFIG", &at),
            ("GOOGLE_APPLICATION_CREDENTIALS", &named),
        ] {
            let found = found(name, value).expect(name);
            assert_eq!(found, format!("the credentials in {named}"));
        }
        let e = found("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json").expect_err("no file");
        assert!(e.to_string().contains("/nowhere/key.json"), "{e:?}");
    }
}
