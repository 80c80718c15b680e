//! What is written down of an instance before it goes.

use google_cloud_sql_v1::model::DatabaseInstance;
use serde::{Deserialize, Serialize};

use crate::cloudsql::runs::when;
use crate::error::{Error, Result};
use crate::model::RunId;
use crate::store::{Name, Store, read_note, write_note};

/// The form of [`Kept`].
const VERSION: u32 = 1;

/// Which instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The one that a run retired.
    Old,
    /// What stood in its place when it came back.
    New,
}

impl Side {
    fn word(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
        }
    }

    /// What is written on the backup of it. By it, it is found again.
    pub(super) fn description(self, run: &RunId) -> String {
        format!("rebuild {run} {}", self.word())
    }
}

/// An instance as it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The system identifier of its server; empty if it is not known.
    pub(super) server: String,
    /// What the API said of it; nothing if nothing stood there.
    pub(super) instance: Option<DatabaseInstance>,
    /// The same of its replicas.
    pub(super) replicas: Vec<DatabaseInstance>,
    /// Operations that were there already.
    pub(super) operations: Vec<String>,
}

impl Kept {
    pub(super) fn new(
        server: &str,
        instance: Option<DatabaseInstance>,
        replicas: Vec<DatabaseInstance>,
        operations: Vec<String>,
    ) -> Self {
        Self {
            server: server.to_owned(),
            instance,
            replicas,
            operations,
        }
    }

    /// What `run` wrote down, or nothing.
    ///
    /// # Errors
    /// The store could not be read; what is there is damaged, or of another version.
    pub(super) async fn read(store: &Store, run: &RunId, side: Side) -> Result<Option<Self>> {
        read_note(store, &name(run, side)?, VERSION).await
    }

    /// Writes it down, and gives back what counts: if something is written down already, that.
    ///
    /// # Errors
    /// The store could not be written.
    pub(super) async fn write(self, store: &Store, run: &RunId, side: Side) -> Result<Self> {
        write_note(store, &name(run, side)?, VERSION, self).await
    }

    /// The instance of an old side.
    ///
    /// # Errors
    /// What was written down has none.
    pub(super) fn instance(&self) -> Result<&DatabaseInstance> {
        let none = || Error::corrupt("what was written down of the old instance has no instance");
        self.instance.as_ref().ok_or_else(none)
    }

    /// True if `now` is the very instance, and not another one of its name.
    pub(super) fn is(&self, now: &DatabaseInstance) -> bool {
        let made = |i: &DatabaseInstance| when(i.create_time.as_ref());
        self.instance
            .as_ref()
            .is_some_and(|then| made(then) == made(now))
    }
}

fn name(run: &RunId, side: Side) -> Result<Name> {
    Name::new(format!("runs/{run}/cloudsql/{}.json", side.word()))
}
