//! Who may speak to the server: tokens, those who give them out, and files that clients read.

mod endpoints;
mod grant;
mod logins;

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) use self::endpoints::{Metadata, metadata, token};
pub(crate) use self::logins::{Logins, answer};
use crate::error::ApiError;

/// Who calls without a token.
pub(crate) const ANONYMOUS: &str = "anonymous";

const CLIENT_ID: &str = "test.apps.googleusercontent.com";

/// The tokens of a server, and what can be exchanged for them.
pub(crate) struct Access {
    /// Calls without a token are let in.
    pub(crate) anonymous: bool,
    pub(crate) project: String,
    /// Whose tokens the metadata server gives.
    pub(crate) principal: String,
    pub(crate) lifetime: Duration,
    tokens: HashMap<String, (String, Instant)>,
    refresh_tokens: HashMap<String, String>,
    keys: HashMap<String, KeyPair>,
    client_secret: String,
}

impl Access {
    pub(crate) fn new(project: &str, anonymous: bool) -> Self {
        Self {
            anonymous,
            project: project.to_owned(),
            principal: format!("tester@{project}.iam.gserviceaccount.com"),
            lifetime: Duration::from_secs(3600),
            tokens: HashMap::new(),
            refresh_tokens: HashMap::new(),
            keys: HashMap::new(),
            client_secret: random(),
        }
    }

    /// A new token of somebody.
    pub(crate) fn issue(&mut self, principal: &str) -> String {
        let token = format!("ya29.{}", random());
        let expires = Instant::now() + self.lifetime;
        self.tokens
            .insert(token.clone(), (principal.to_owned(), expires));
        token
    }

    pub(crate) fn expire_tokens(&mut self) {
        self.tokens.clear();
    }

    /// Whose token the header `Authorization` has.
    pub(crate) fn principal(&self, header: Option<&str>) -> Result<String, ApiError> {
        let Some(header) = header else {
            let anonymous = self.anonymous.then(|| ANONYMOUS.to_owned());
            return anonymous.ok_or_else(|| {
                unauthenticated("Request is missing required authentication credential.")
            });
        };
        let token = header.strip_prefix("Bearer ").unwrap_or_default();
        match self.tokens.get(token) {
            Some((principal, expires)) if *expires > Instant::now() => Ok(principal.clone()),
            _ => Err(unauthenticated(
                "Request had invalid authentication credentials.",
            )),
        }
    }

    /// True if a token is good and is that of a database's user, whose name has no `.gserviceaccount.com`
    /// where it is a service account's.
    pub(crate) fn may_log_in(&self, user: &str, token: &str) -> bool {
        let known = self.tokens.get(token);
        known.is_some_and(|(principal, expires)| {
            let short = principal.strip_suffix(".gserviceaccount.com");
            *expires > Instant::now() && (user == principal || Some(user) == short)
        })
    }

    /// Writes what `gcloud auth application-default login` would, for somebody.
    pub(crate) fn write_user(
        &mut self,
        folder: &Path,
        principal: &str,
        url: &str,
    ) -> io::Result<PathBuf> {
        let refresh_token = format!("1//{}", random());
        self.refresh_tokens
            .insert(refresh_token.clone(), principal.to_owned());
        write(
            folder,
            &json!({
                "type": "authorized_user", "client_id": CLIENT_ID, "client_secret": self.client_secret,
                "refresh_token": refresh_token, "token_uri": format!("{url}/token"),
                "quota_project_id": self.project, "universe_domain": "googleapis.com",
            }),
        )
    }

    /// Writes the key of a service account.
    pub(crate) fn write_key(
        &mut self,
        folder: &Path,
        principal: &str,
        url: &str,
    ) -> io::Result<PathBuf> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
        let key = key.map_err(io::Error::other)?;
        let text = key.serialize_pem();
        let id = random();
        self.keys.insert(principal.to_owned(), key);
        write(
            folder,
            &json!({
                "type": "service_account", "project_id": self.project, "private_key_id": id,
                "private_key": text, "client_email": principal, "client_id": "1",
                "token_uri": format!("{url}/token"), "universe_domain": "googleapis.com",
            }),
        )
    }
}

fn unauthenticated(why: &str) -> ApiError {
    let message = format!(
        "{why} Expected OAuth 2 access token, login cookie or other valid authentication \
         credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
    );
    ApiError::new(401, message)
}

/// Writes a file that nobody else can read.
fn write(folder: &Path, content: &Value) -> io::Result<PathBuf> {
    let path = folder.join(format!("credentials-{}.json", random()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    io::Write::write_all(&mut file, content.to_string().as_bytes())?;
    Ok(path)
}

fn random() -> String {
    Uuid::new_v4().simple().to_string()
}
