//! `[[target.cloudsql.users]]`: users that the instance is to have.

use schemars::JsonSchema;
use serde::Deserialize;

use super::target::some_secret;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// `[[target.cloudsql.users]]`: a user that the instance is to have. A run makes it before the database,
/// unless it is there; `rebuild instance users` does so at once. None is changed, and none goes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceUserSpec {
    /// Its name: that of its role. A service account's is its address without `.gserviceaccount.com`.
    pub name: String,
    /// How it gets in.
    #[serde(default)]
    pub kind: InstanceUserKind,
    /// Its password: `${APP_PASSWORD}`, never the text.
    #[schemars(with = "Option<String>")]
    #[serde(default, deserialize_with = "some_secret")]
    pub password: Option<Secret>,
}

/// How a user of an instance gets in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceUserKind {
    /// With a password.
    #[default]
    BuiltIn,
    /// With a token of the person whose address is the name.
    IamUser,
    /// With a token of the service account.
    IamServiceAccount,
}

/// Checks that each user can be made.
///
/// # Errors
/// The first one that cannot, by its key.
pub(super) fn check(users: &[InstanceUserSpec]) -> Result<()> {
    for (n, user) in users.iter().enumerate() {
        let wrong = |key: &str, why: String| {
            let name = &user.name;
            Err(Error::usage(format!(
                "target.cloudsql.users{key}: user {name:?} {why}"
            )))
        };
        if user.name.is_empty() || user.name.starts_with("cloudsql") {
            return wrong(".name", "is no name of a user of your own".to_owned());
        }
        if users[..n].iter().any(|other| other.name == user.name) {
            return wrong(".name", "is there twice".to_owned());
        }
        match (user.kind, &user.password) {
            (InstanceUserKind::BuiltIn, None) => {
                return wrong(".password", "gets in with one, and has none".to_owned());
            }
            (InstanceUserKind::IamUser | InstanceUserKind::IamServiceAccount, Some(_)) => {
                return wrong(
                    ".password",
                    "gets in with a token, and needs none".to_owned(),
                );
            }
            _ => {}
        }
        let account = ".gserviceaccount.com";
        if user.kind == InstanceUserKind::IamServiceAccount
            && let Some(short) = user.name.strip_suffix(account)
        {
            return wrong(
                ".name",
                format!("is called {short:?} in a database, without {account}"),
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_cannot_be_made_is_refused_with_its_key() {
        for (users, why) in [
            (
                "{ name = \"api\" }",
                "users.password: user \"api\" gets in with one",
            ),
            (
                "{ name = \"a@b.org\", kind = \"iam-user\", password = \"x\" }",
                "users.password: user \"a@b.org\" gets in with a token",
            ),
            (
                "{ name = \"job@shop.iam.gserviceaccount.com\", kind = \"iam-service-account\" }",
                "users.name: user \"job@shop.iam.gserviceaccount.com\" is called \"job@shop.iam\"",
            ),
            (
                "{ name = \"api\", password = \"x\" }, { name = \"api\", password = \"y\" }",
                "users.name: user \"api\" is there twice",
            ),
            (
                "{ name = \"cloudsqladmin\", password = \"x\" }",
                "users.name: user \"cloudsqladmin\" is no name",
            ),
        ] {
            let text = format!(
                "version = 1\nstore.url = \"store\"\n[gcp]\nproject = \"shop\"\n\
                 [target]\nurl = \"postgresql:///app\"\n[target.cloudsql]\n\
                 instance = \"shop:europe-west1:main\"\nconnect = \"proxy\"\nusers = [{users}]\n"
            );
            let folder = std::path::Path::new(".");
            let read = crate::spec::parse(&text, "rebuild.toml", folder, &|_| None);
            let error = read.expect_err(&text);
            assert_eq!(error.kind(), crate::ErrorKind::Usage, "{error:?}");
            assert!(error.chain().contains(why), "{users}: {error:?}");
        }
    }
}
