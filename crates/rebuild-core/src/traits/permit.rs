//! The right to lose data, as a value that must be earned.

use super::{BackupMode, BackupSummary};
use crate::error::{Error, Result};
use crate::model::{BackupId, Identity, Verdict};
use crate::shell_word;

/// A backup that was read back whole in this process. Cannot be made by hand, stored or sent.
#[derive(Debug)]
pub struct ProvenBackup {
    summary: BackupSummary,
}

impl ProvenBackup {
    /// Accepts a backup as proven, if its check passed and it is a full one of `target`.
    ///
    /// # Errors
    /// A refusal that names each check that did not pass.
    pub fn accept(summary: BackupSummary, verdict: &Verdict, target: &Identity) -> Result<Self> {
        let id = &summary.id;
        if !verdict.passed() {
            let complaints = verdict.complaints().join("; ");
            return Err(
                Error::refused(format!("backup {id} is not proven: {complaints}"))
                    .hint("take a new backup; nothing was destroyed"),
            );
        }
        if summary.mode != BackupMode::Full {
            return Err(Error::refused(format!(
                "backup {id} does not hold the rows, so it cannot stand in for the database"
            )));
        }
        if !summary.of.is_same_thing(target) {
            return Err(Error::refused(format!(
                "backup {id} is of {}, not of {target}",
                summary.of
            )));
        }
        Ok(Self { summary })
    }

    /// Which backup.
    pub fn id(&self) -> &BackupId {
        &self.summary.id
    }

    /// What it holds, in short.
    pub fn summary(&self) -> &BackupSummary {
        &self.summary
    }
}

/// Allows one destruction of one thing. Taken by value by whatever can lose data; it is not
/// clonable and not serialisable, so it cannot outlive the process that earned it.
#[derive(Debug)]
pub struct DestroyPermit {
    what: Identity,
    because: String,
}

impl DestroyPermit {
    /// Earned by a backup of `what` that was proven in this process.
    ///
    /// # Errors
    /// A refusal if the backup is of something else.
    pub fn by_backup(what: &Identity, proof: &ProvenBackup) -> Result<Self> {
        if !proof.summary.of.is_same_thing(what) {
            return Err(Error::refused(format!(
                "backup {} is of {}, so it does not allow {what} to be destroyed",
                proof.id(),
                proof.summary.of
            )));
        }
        Ok(Self {
            what: what.clone(),
            because: format!("backup {} is proven", proof.id()),
        })
    }

    /// Earned by a person who typed the name of `what`.
    ///
    /// # Errors
    /// A refusal if the typed name is not the name.
    pub fn by_name(what: &Identity, typed: &str) -> Result<Self> {
        if typed != what.name {
            return Err(Error::refused(format!(
                "to destroy {what} its name must be given; {typed:?} is not it"
            ))
            .hint(format!("give --confirm {}", shell_word(&what.name))));
        }
        Ok(Self {
            what: what.clone(),
            because: "its name was typed".to_owned(),
        })
    }

    /// Uses the permit up for `what`.
    ///
    /// # Errors
    /// A refusal if it was earned for something else.
    pub fn spend_on(self, what: &Identity) -> Result<()> {
        if self.what.is_same_thing(what) {
            tracing::info!(%what, because = self.because, "destroying with a permit");
            Ok(())
        } else {
            Err(Error::refused(format!(
                "the permit is for {}, not for {what}",
                self.what
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Outcome;

    fn identity(uid: &str) -> Identity {
        Identity {
            server: "7".into(),
            name: "app".into(),
            uid: uid.into(),
        }
    }

    fn summary(mode: BackupMode) -> BackupSummary {
        BackupSummary {
            id: BackupId::generate(),
            of: identity("1"),
            mode,
            taken_at: jiff::Timestamp::UNIX_EPOCH,
            tables: 1,
            rows: 1,
            large_objects: 0,
            stored_bytes: 1,
        }
    }

    fn passed() -> Verdict {
        let mut verdict = Verdict::default();
        verdict.add("chunks", "1 chunk", Outcome::Passed);
        verdict
    }

    #[test]
    fn only_a_passed_full_backup_of_the_same_thing_is_a_proof() {
        let target = identity("1");
        assert!(ProvenBackup::accept(summary(BackupMode::Full), &passed(), &target).is_ok());
        assert!(ProvenBackup::accept(summary(BackupMode::SchemaOnly), &passed(), &target).is_err());
        assert!(
            ProvenBackup::accept(summary(BackupMode::Full), &Verdict::default(), &target).is_err()
        );
        assert!(
            ProvenBackup::accept(summary(BackupMode::Full), &passed(), &identity("2")).is_err()
        );
    }

    #[test]
    fn a_permit_fits_one_thing() {
        let target = identity("1");
        let proof =
            ProvenBackup::accept(summary(BackupMode::Full), &passed(), &target).expect("proof");
        assert!(DestroyPermit::by_backup(&identity("2"), &proof).is_err());
        let permit = DestroyPermit::by_backup(&target, &proof).expect("permit");
        assert!(permit.spend_on(&identity("2")).is_err());
        assert!(DestroyPermit::by_name(&target, "ap").is_err());
        let permit = DestroyPermit::by_name(&target, "app").expect("permit");
        permit.spend_on(&target).expect("spent");
    }
}
