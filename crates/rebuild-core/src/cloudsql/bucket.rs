//! A bucket that exports go to, by the JSON API of Cloud Storage
//! (<https://cloud.google.com/storage/docs/json_api/v1>).

use std::fmt;
use std::str::FromStr;

use http::Method;
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::google::{Asked, Google, GoogleApi};

/// A place in a bucket: `gs://BUCKET/PREFIX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketPath {
    /// The bucket.
    pub bucket: String,
    /// What the names of objects begin with, without a slash at its end; may be empty.
    pub prefix: String,
}

impl BucketPath {
    /// The object `name` below it.
    pub(super) fn object(&self, name: &str) -> Self {
        let prefix = match &*self.prefix {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        };
        Self {
            bucket: self.bucket.clone(),
            prefix,
        }
    }
}

impl FromStr for BucketPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::usage(format!(
                "{text:?} is no place in a bucket: gs://BUCKET/PREFIX"
            ))
        };
        let rest = text.strip_prefix("gs://").ok_or_else(bad)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let fits =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        let prefix = prefix.trim_end_matches('/');
        let plain =
            |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
        if bucket.is_empty()
            || !bucket.chars().all(fits)
            || !(prefix.is_empty() || prefix.split('/').all(plain))
        {
            return Err(bad());
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl fmt::Display for BucketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.prefix {
            "" => write!(f, "gs://{}", self.bucket),
            prefix => write!(f, "gs://{}/{prefix}", self.bucket),
        }
    }
}

/// A bucket, as an account sees it.
pub(super) struct Bucket<'a> {
    pub(super) google: &'a Google,
    pub(super) ctx: &'a Ctx,
}

impl Bucket<'_> {
    /// The size of an object in bytes, if it is there.
    ///
    /// # Errors
    /// The bucket could not be asked.
    pub(super) async fn size(&self, object: &BucketPath) -> Result<Option<u64>> {
        let what = format!("could not look for {object}");
        let path = path(object);
        let asked = asked(Method::GET, &path, &[], None);
        let get = || self.google.send_json(&asked);
        let google = self.google;
        let found = google
            .ask_maybe(self.ctx, GoogleApi::Storage, &what, get)
            .await?;
        Ok(found.map(|o| o["size"].as_str().and_then(|s| s.parse().ok()).unwrap_or(0)))
    }

    /// What is in an object.
    ///
    /// # Errors
    /// It is not there; the bucket could not be asked.
    pub(super) async fn read(
        &self,
        object: &BucketPath,
    ) -> Result<impl AsyncRead + Send + Unpin + use<>> {
        let what = format!("could not read {object}");
        let path = path(object);
        let asked = asked(Method::GET, &path, &[("alt", "media")], None);
        let get = || self.google.send(&asked);
        let answer = self
            .google
            .ask(self.ctx, GoogleApi::Storage, &what, get)
            .await?;
        let pieces = futures::stream::try_unfold(answer, |mut answer| async {
            let piece = answer.chunk().await.map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(piece.map(|piece| (piece, answer)))
        });
        Ok(StreamReader::new(Box::pin(pieces)))
    }

    /// Deletes an object.
    ///
    /// *Repeats:* one that is gone is no error. *Destroys:* the object.
    ///
    /// # Errors
    /// The bucket refused, or could not be asked.
    pub(super) async fn delete(&self, object: &BucketPath) -> Result<()> {
        let what = format!("could not delete {object}");
        let path = path(object);
        let asked = asked(Method::DELETE, &path, &[], None);
        let delete = || async { self.google.send(&asked).await.map(|_| ()) };
        let google = self.google;
        let done = google.ask_maybe(self.ctx, GoogleApi::Storage, &what, delete);
        done.await.map(|_| ())
    }

    /// Who may do what in a bucket.
    ///
    /// # Errors
    /// This account may not see it; the bucket could not be asked.
    pub(super) async fn policy(&self, bucket: &str) -> Result<Value> {
        let what = format!("could not read who may use gs://{bucket}");
        let path = ["storage", "v1", "b", bucket, "iam"];
        // Conditions are lost by whoever asks for less.
        let query = [("optionsRequestedPolicyVersion", "3")];
        let asked = asked(Method::GET, &path, &query, None);
        let get = || self.google.send_json(&asked);
        self.google
            .ask(self.ctx, GoogleApi::Storage, &what, get)
            .await
    }

    /// Says who may do what. False if the policy was changed by somebody since it was read.
    ///
    /// # Errors
    /// This account may not; the bucket could not be asked.
    pub(super) async fn set_policy(&self, bucket: &str, policy: &Value) -> Result<bool> {
        let what = format!("could not change who may use gs://{bucket}");
        let path = ["storage", "v1", "b", bucket, "iam"];
        let asked = asked(Method::PUT, &path, &[], Some(policy));
        let put = || self.google.send(&asked);
        let api = GoogleApi::Storage;
        match self.google.asked(self.ctx, api, &what, put).await? {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.http_status_code(), Some(409 | 412)) => Ok(false),
            Err(e) => Err(self.google.refusal(api, &what, &e)),
        }
    }
}

fn path(object: &BucketPath) -> [&str; 6] {
    ["storage", "v1", "b", &object.bucket, "o", &object.prefix]
}

fn asked<'a>(
    method: Method,
    path: &'a [&'a str],
    query: &'a [(&'a str, &'a str)],
    body: Option<&'a Value>,
) -> Asked<'a> {
    Asked {
        api: GoogleApi::Storage,
        method,
        path,
        query,
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_bucket_is_read_strictly() {
        for (text, prefix) in [
            ("gs://exports", ""),
            ("gs://exports/", ""),
            ("gs://exports/daily/app/", "daily/app"),
        ] {
            let place: BucketPath = text.parse().expect(text);
            assert_eq!((&*place.bucket, &*place.prefix), ("exports", prefix));
        }
        for bad in [
            "exports",
            "s3://exports",
            "gs://",
            "gs://Ex/a",
            "gs://a/../b",
            "gs://a//b",
        ] {
            assert!(bad.parse::<BucketPath>().is_err(), "{bad}");
        }
        let place: BucketPath = "gs://exports/daily".parse().expect("a place");
        assert_eq!(
            place.object("a.sql.gz").to_string(),
            "gs://exports/daily/a.sql.gz"
        );
    }
}
