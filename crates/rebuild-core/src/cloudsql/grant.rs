//! The right of an instance to write to a bucket, for as long as it writes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::bucket::Bucket;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Name, Store};

/// The role that an export takes
/// (<https://cloud.google.com/sql/docs/postgres/import-export/import-export-sql>).
const ROLE: &str = "roles/storage.objectAdmin";

/// Roles that hold everything that it does.
const ENOUGH: [&str; 2] = [ROLE, "roles/storage.admin"];

/// How often a policy is read again that somebody else changed in the meantime.
const TRIES: usize = 5;

/// A right that is given and taken away. What is given is written down first, so that one that a process
/// left behind that was killed is taken away by the next export.
pub(super) struct Grant<'a> {
    pub(super) bucket: Bucket<'a>,
    pub(super) store: &'a Store,
    /// Which bucket.
    pub(super) name: &'a str,
    /// The account, as IAM names it: `serviceAccount:...`.
    pub(super) member: String,
}

/// What is written down.
#[derive(Serialize, Deserialize)]
struct Note<'a> {
    bucket: &'a str,
    member: &'a str,
    role: &'a str,
}

/// True if `policy` lets `member` write, without a condition.
fn may_write(policy: &Value, member: &str) -> bool {
    bindings(policy).any(|binding| {
        let role = binding["role"].as_str().unwrap_or_default();
        ENOUGH.contains(&role) && binding["condition"].is_null() && names(binding, member)
    })
}

fn bindings(policy: &Value) -> impl Iterator<Item = &Value> {
    policy["bindings"].as_array().into_iter().flatten()
}

fn names(binding: &Value, member: &str) -> bool {
    let mut members = binding["members"].as_array().into_iter().flatten();
    members.any(|m| m.as_str() == Some(member))
}

/// True for the binding that a grant is made in.
fn is_ours(binding: &Value) -> bool {
    binding["role"] == ROLE && binding["condition"].is_null()
}

fn given(mut policy: Value, member: &str) -> Value {
    if !policy["bindings"].is_array() {
        policy["bindings"] = json!([]);
    }
    let Some(bindings) = policy["bindings"].as_array_mut() else {
        return policy;
    };
    let ours = bindings.iter_mut().find(|b| is_ours(b));
    match ours.and_then(|b| b["members"].as_array_mut()) {
        Some(members) => members.push(member.into()),
        None => bindings.push(json!({ "role": ROLE, "members": [member] })),
    }
    policy
}

fn taken_away(mut policy: Value, member: &str) -> Value {
    let Some(bindings) = policy["bindings"].as_array_mut() else {
        return policy;
    };
    for binding in bindings.iter_mut().filter(|b| is_ours(b)) {
        if let Some(members) = binding["members"].as_array_mut() {
            members.retain(|m| m.as_str() != Some(member));
        }
    }
    bindings.retain(|b| b["members"].as_array().is_none_or(|m| !m.is_empty()));
    policy
}

impl Grant<'_> {
    fn note(&self) -> Result<Name> {
        let of = format!("{} {}", self.name, self.member);
        let hash = blake3::hash(of.as_bytes()).to_hex();
        Name::new(format!("cloudsql/granted/{}.json", &hash[..32]))
    }

    /// True if it is written down that the right was given, and not that it was taken away.
    ///
    /// # Errors
    /// The store could not be read.
    pub(super) async fn is_noted(&self) -> Result<bool> {
        Ok(self.store.size(&self.note()?).await?.is_some())
    }

    /// Gives the right, unless it is there. True if it is this tool's to take away.
    ///
    /// *Repeats:* what is there is left. *Destroys:* nothing.
    ///
    /// # Errors
    /// The policy cannot be read or changed; the store could not be written.
    pub(super) async fn give(&self) -> Result<bool> {
        let noted = self.is_noted().await?;
        if may_write(&self.bucket.policy(self.name).await?, &self.member) {
            return Ok(noted);
        }
        self.write_down().await?;
        self.change(|policy| {
            (!may_write(&policy, &self.member)).then(|| given(policy, &self.member))
        })
        .await?;
        Ok(true)
    }

    /// Takes the right away that [`give`](Self::give) gave.
    ///
    /// *Repeats:* one that is gone is no error. *Destroys:* nothing.
    ///
    /// # Errors
    /// The policy cannot be read or changed; the store could not be written.
    pub(super) async fn take_away(&self) -> Result<()> {
        let changed = self.change(|policy| {
            let has = bindings(&policy).any(|b| is_ours(b) && names(b, &self.member));
            has.then(|| taken_away(policy, &self.member))
        });
        let (bucket, member) = (self.name, &self.member);
        changed.await.map_err(|e| {
            e.context(format!(
                "{member} still has the right to write to gs://{bucket} that it was given"
            ))
            .hint(format!(
                "the next export takes it away, or: gcloud storage buckets remove-iam-policy-binding \
                 gs://{bucket} --member={member} --role={ROLE}"
            ))
        })?;
        self.store.delete(&self.note()?).await
    }

    async fn write_down(&self) -> Result<()> {
        let note = Note {
            bucket: self.name,
            member: &self.member,
            role: ROLE,
        };
        let text = serde_json::to_vec_pretty(&note)
            .map_err(|e| Error::internal("a note cannot be written").caused_by(e))?;
        let mut writer = self.store.writer(&self.note()?);
        writer.write(&text).await?;
        writer.finish().await.map(|_| ())
    }

    async fn change(&self, change: impl Fn(Value) -> Option<Value>) -> Result<()> {
        for _ in 0..TRIES {
            let Some(changed) = change(self.bucket.policy(self.name).await?) else {
                return Ok(());
            };
            if self.bucket.set_policy(self.name, &changed).await? {
                return Ok(());
            }
        }
        Err(Error::new(
            ErrorKind::Server,
            format!(
                "the policy of gs://{} is changed again and again",
                self.name
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITER: &str = "serviceAccount:p1@gcp-sa-cloud-sql.iam.gserviceaccount.com";

    #[test]
    fn a_right_comes_and_goes_and_nothing_else_does() {
        let others = json!({ "etag": "a", "version": 3, "bindings": [
            { "role": "roles/storage.admin", "members": ["user:ann@example.org"] },
            { "role": ROLE, "members": [WRITER], "condition": { "expression": "false" } },
        ]});
        assert!(!may_write(&others, WRITER));
        let with = given(others.clone(), WRITER);
        assert!(may_write(&with, WRITER));
        assert_eq!(taken_away(with, WRITER), others);

        let shared = json!({ "bindings": [{ "role": ROLE, "members": ["user:bob@example.org"] }]});
        let with = given(shared.clone(), WRITER);
        assert_eq!(with["bindings"].as_array().map(Vec::len), Some(1));
        assert_eq!(taken_away(with, WRITER), shared);

        let with = given(json!({ "etag": "a" }), WRITER);
        assert!(may_write(&with, WRITER));
        assert_eq!(
            taken_away(with, WRITER),
            json!({ "etag": "a", "bindings": [] })
        );
    }
}
