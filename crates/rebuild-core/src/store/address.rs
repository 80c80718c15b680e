//! What the URL of a store names.

use std::path::PathBuf;

use super::Name;
use crate::error::{Error, Result};

/// The kinds of URL, for hints.
const FORMS: &str = "give file:///an/absolute/folder, s3://bucket/prefix or gs://bucket/prefix";

/// Where a store is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket, and what the names of all objects in it begin with.
    Bucket {
        kind: Kind,
        bucket: String,
        prefix: Option<Name>,
    },
}

/// Whose API a bucket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Amazon S3, or what speaks its API.
    S3,
    /// Google Cloud Storage.
    Gs,
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// It is none, or names no folder or bucket, or says more than that.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let url = url::Url::parse(text).map_err(|e| {
            Error::usage("the store's URL cannot be read")
                .caused_by(e)
                .hint(FORMS)
        })?;
        // Before anything is printed: these may be secrets.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::usage("the store's URL holds a user or a password")
                .hint("credentials come from the environment, never from the URL"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Error::usage("the store's URL has a query or a fragment").hint(FORMS));
        }
        let kind = match url.scheme() {
            "file" => {
                let path = url.to_file_path().map_err(|()| {
                    Error::usage(format!("{text:?} does not name a folder of this machine"))
                })?;
                return Ok(Self::Folder(path));
            }
            "s3" => Kind::S3,
            "gs" => Kind::Gs,
            other => {
                let what = format!("stores of the kind {other:?} are not supported");
                return Err(Error::usage(what).hint(FORMS));
            }
        };
        if url.port().is_some() {
            let what = format!("{text:?} has a port");
            return Err(Error::usage(what)
                .hint("another endpoint than the usual one comes from the environment"));
        }
        Ok(Self::Bucket {
            kind,
            bucket: bucket(text, &url)?,
            prefix: prefix(text, &url)?,
        })
    }
}

fn bucket(text: &str, url: &url::Url) -> Result<String> {
    let name = url.host_str().unwrap_or_default();
    let sound = (3..=222).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if sound {
        Ok(name.to_owned())
    } else {
        Err(Error::usage(format!("{text:?} does not name a bucket")).hint(FORMS))
    }
}

fn prefix(text: &str, url: &url::Url) -> Result<Option<Name>> {
    let path = url.path().trim_matches('/');
    if path.is_empty() {
        return Ok(None);
    }
    Name::new(path).map(Some).map_err(|_| {
        Error::usage(format!("{text:?} has a prefix that a store cannot have"))
            .hint("a prefix has letters, digits, '.', '_', '-' and '/'")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(kind: Kind, bucket: &str, prefix: Option<&str>) -> Address {
        Address::Bucket {
            kind,
            bucket: bucket.to_owned(),
            prefix: prefix.map(|p| Name::new(p).expect("a name")),
        }
    }

    #[test]
    fn a_url_names_a_folder_or_a_bucket() {
        for (text, means) in [
            ("file:///srv/store", Address::Folder("/srv/store".into())),
            ("s3://backups", at(Kind::S3, "backups", None)),
            ("s3://backups/", at(Kind::S3, "backups", None)),
            ("s3://a.b-c/x/y/", at(Kind::S3, "a.b-c", Some("x/y"))),
            ("gs://my_bucket/app", at(Kind::Gs, "my_bucket", Some("app"))),
        ] {
            assert_eq!(Address::parse(text).expect(text), means, "{text}");
        }
    }

    #[test]
    fn nothing_else_is_one_and_what_may_be_a_secret_is_not_repeated() {
        for (text, why) in [
            ("/srv/store", "cannot be read"),
            ("ftp://host/x", "kind \"ftp\""),
            ("s3://", "does not name a bucket"),
            ("s3://b", "does not name a bucket"),
            ("s3:///folder", "does not name a bucket"),
            ("s3://bucket:9000/x", "has a port"),
            ("s3://bucket/a//b", "prefix"),
            ("gs://bucket/ä", "prefix"),
            ("gs://bucket/..%2f", "prefix"),
            ("file://host/x", "this machine"),
            ("s3://AKIA:hunter2@bucket/x", "a user or a password"),
            ("s3://bucket/x?token=hunter2", "a query"),
        ] {
            let e = Address::parse(text).expect_err(text);
            assert!(e.is_refusal(), "{text}: {e:?}");
            assert!(e.to_string().contains(why), "{text}: {e:?}");
            assert!(!format!("{e:?}").contains("hunter2"), "{text}: {e:?}");
        }
    }
}
