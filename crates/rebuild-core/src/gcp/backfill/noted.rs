//! What is written down of a remedy, so that whoever goes on with the run knows how far it is.

use serde::{Deserialize, Serialize};

use super::Backfill;
use crate::error::Result;
use crate::model::RunId;
use crate::store::{Name, Store, read_note, write_note};

/// The form of [`Remedied`].
const VERSION: u32 = 1;

/// How far the remedy of a query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It was begun: its table may be gone.
    Mending,
    /// All of its steps are done.
    Mended,
}

/// What a remedy is for.
#[derive(Serialize, Deserialize)]
struct Remedied {
    query: String,
    table: String,
}

/// What a run writes down of the remedy of one query. Each state is an object of its own: nothing in a
/// store is written over.
pub(super) struct Noted<'a> {
    pub(super) store: &'a Store,
    pub(super) run: &'a RunId,
    /// The place of its step, and its own in that.
    pub(super) place: (u32, usize),
}

impl Noted<'_> {
    /// What the run wrote down last, or nothing.
    ///
    /// # Errors
    /// The store could not be read; what is there is damaged, or of another version.
    pub(super) async fn last(&self) -> Result<Option<Progress>> {
        for progress in [Progress::Mended, Progress::Mending] {
            let name = self.name(progress)?;
            let noted: Option<Remedied> = read_note(self.store, &name, VERSION).await?;
            if noted.is_some() {
                return Ok(Some(progress));
            }
        }
        Ok(None)
    }

    /// Writes down that it is so far with `backfill`.
    ///
    /// # Errors
    /// The store could not be written.
    pub(super) async fn write(&self, progress: Progress, backfill: &Backfill) -> Result<()> {
        let table = backfill.table.as_ref();
        let note = Remedied {
            query: backfill.config.clone(),
            table: table.map(ToString::to_string).unwrap_or_default(),
        };
        let name = self.name(progress)?;
        let written = write_note(self.store, &name, VERSION, note).await;
        written.map(|_| ())
    }

    fn name(&self, progress: Progress) -> Result<Name> {
        let (step, query) = self.place;
        let progress = match progress {
            Progress::Mending => "mending",
            Progress::Mended => "mended",
        };
        Name::new(format!(
            "runs/{}/bigquery/{step}-{query}-{progress}.json",
            self.run
        ))
    }
}
