//! One fault, the way out of it, and what is left.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rebuild_core::postgres::ident;
use serde_json::Value;

use crate::arena::Arena;
use crate::world::{Desk, Run, Scene, State, Target};

/// The command that is typed when a run has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// On to the new database.
    Resume,
    /// Back to the old one.
    Rollback,
}

impl Way {
    /// The two of them by turns.
    pub fn by_turns(n: usize) -> Self {
        if n.is_multiple_of(2) {
            Self::Resume
        } else {
            Self::Rollback
        }
    }

    /// The other one.
    fn other(self) -> Self {
        match self {
            Self::Resume => Self::Rollback,
            Self::Rollback => Self::Resume,
        }
    }

    /// The command's name.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::Rollback => "rollback",
        }
    }
}

/// What was left in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Exactly the new state.
    New,
    /// Exactly the old state, brought back by the run.
    Old,
    /// Exactly the old state: no run had begun.
    Untouched,
}

/// What a fault did.
pub struct Struck {
    /// The run that it struck.
    pub run: Run,
    /// Whether it did.
    pub struck: bool,
}

/// What came of a trial.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whether the fault struck.
    pub struck: bool,
    /// What was left.
    pub ended: Ended,
    /// How many commands it took after the fault.
    pub commands: usize,
}

/// No way out is longer.
const COMMANDS: usize = 4;

impl Arena {
    /// Strikes a rebuild, takes the way out, and looks at everything that is left.
    ///
    /// # Panics
    /// Something is left that should not be, or is missing.
    pub async fn trial(
        &self,
        scene: Scene,
        way: Way,
        fault: impl AsyncFnOnce(&mut Target<'_>) -> Struck,
    ) -> Outcome {
        let mut target = self.target(scene).await;
        let oid = target.oid().await;
        let plain = target.environment.clone();
        let Struck { run, struck } = fault(&mut target).await;
        target.environment = plain;
        self.world.settle().await;
        self.expect_copy(&target, scene, oid).await;
        let (ended, commands) = way_out(&target, way, &run).await;
        self.expect_state(&target, scene, oid, ended).await;
        target.drop_databases().await;
        std::fs::remove_dir_all(&target.folder).expect("the trial's folder");
        Outcome {
            struck,
            ended,
            commands,
        }
    }

    /// The old database is there, whatever its name is, with every row.
    async fn expect_copy(&self, target: &Target<'_>, scene: Scene, oid: u32) {
        let name = target
            .name_of(oid)
            .await
            .expect("the old database is there");
        let admin = self.world.admin().await;
        let open = "select datallowconn from pg_database where oid = $1";
        let open: bool = admin.query_one(open, &[&oid]).await.expect("open?").get(0);
        let quoted = ident(&name).expect("a name");
        let allow = format!("alter database {quoted} allow_connections");
        if !open {
            admin
                .batch_execute(&format!("{allow} true"))
                .await
                .expect("opened");
        }
        let kept = State::of_database(&self.world, &name).await;
        if !open {
            admin
                .batch_execute(&format!("{allow} false"))
                .await
                .expect("closed");
        }
        let lost = kept.rows_lost(&self.clean(scene).old);
        assert!(lost.is_empty(), "ROWS LOST in the old database: {lost:?}");
    }

    async fn expect_state(&self, target: &Target<'_>, scene: Scene, oid: u32, ended: Ended) {
        self.world.settle().await;
        let clean = self.clean(scene);
        let now = State::of(target).await;
        let (expected, new) = match ended {
            Ended::New => (&clean.new, true),
            Ended::Old | Ended::Untouched => (&clean.old, false),
        };
        let lost = now.rows_lost(expected);
        assert!(lost.is_empty(), "ROWS LOST in service, {ended:?}: {lost:?}");
        now.expect_within(expected, self.world.skipped(), "in the end");
        assert_eq!(
            target.oid().await != oid,
            new,
            "the database that is in service"
        );
        // The next run finds nothing in its way, and marks or removes what it finds.
        target.rebuild(&["plan"]).await.expect(0);
        self.expect_nothing_left(target, ended).await;
    }

    /// No database, session, lock, slot, half backup or temporary file is left that nobody knows.
    async fn expect_nothing_left(&self, target: &Target<'_>, ended: Ended) {
        let mut others = self.world.databases().await;
        others.retain(|name| name.starts_with(&target.name) && *name != target.name);
        let kept = match ended {
            Ended::New => 1..=1,
            Ended::Old => 0..=1,
            Ended::Untouched => 0..=0,
        };
        assert!(
            kept.contains(&others.len()),
            "beside the target: {others:?}"
        );
        // What a look at the schema made and could not remove carries a mark, by which a later one does.
        let unmarked = "select datname::text from pg_database where datname like 'rebuild_scratch%'
                           and shobj_description(oid, 'pg_database') is null";
        let admin = self.world.admin().await;
        let unmarked = admin.query(unmarked, &[]).await.expect("databases");
        let unmarked: Vec<String> = unmarked.iter().map(|row| row.get(0)).collect();
        assert!(unmarked.is_empty(), "nobody removes {unmarked:?}");
        expect_private(&target.folder.join("tmp"));
        let slots = "select count(*) from pg_replication_slots";
        let slots: i64 = admin.query_one(slots, &[]).await.expect("slots").get(0);
        assert_eq!(slots, 0, "replication slots");
        expect_known_backups(target);
    }
}

/// Types one command after the other until the run has ended.
pub(crate) async fn way_out(desk: &Desk, way: Way, run: &Run) -> (Ended, usize) {
    let mut said = run.code();
    let mut told = format!("{run:?}");
    for commands in 0..=COMMANDS {
        let Some(ending) = last_ending(desk).await else {
            assert_ne!(said, Some(0), "it says that it is done: {told}");
            return (Ended::Untouched, commands);
        };
        let ended = match ending.as_str() {
            "done" => Some(Ended::New),
            "rolled-back" => Some(Ended::Old),
            _ => None,
        };
        if let Some(ended) = ended {
            let wrong = said == Some(0) && ended != Ended::New && commands == 0;
            assert!(!wrong, "it says that it is done: {told}");
            return (ended, commands);
        }
        assert!(commands < COMMANDS, "NO WAY OUT: {ending} after {told}");
        // Where it does not go one way, it says so and names the other.
        let refused = said == Some(3) && commands > 0;
        let way = if refused { way.other() } else { way };
        let run = desk.rebuild_json(&desk.typed(way.verb())).await;
        said = run.code();
        told = format!("{run:?}");
    }
    unreachable!("the last round ends it")
}

/// How the newest run in the store stands; `None` without a run.
async fn last_ending(desk: &Desk) -> Option<String> {
    let listed = desk.rebuild_json(&["runs", "list"]).await;
    let listed = listed.expect(0).json();
    // The newest comes first.
    let newest = listed.as_array().expect("a list of runs").first()?;
    Some(match &newest["ending"] {
        Value::String(ending) => ending.clone(),
        _ => "open".to_owned(),
    })
}

/// Temporary files that a killed program left behind are nobody else's to read.
fn expect_private(folder: &Path) {
    for left in std::fs::read_dir(folder).expect("temporary files") {
        let left = left.expect("an entry");
        let mode = left.metadata().expect("its mode").permissions().mode();
        assert_eq!(
            mode & 0o077,
            0,
            "{} can be read by others",
            left.path().display()
        );
    }
}

/// Each backup in the store is whole, or in the journal of a run.
fn expect_known_backups(target: &Target<'_>) {
    let folder = target.store().join("backups");
    let Ok(backups) = std::fs::read_dir(folder) else {
        return;
    };
    for backup in backups {
        let backup = backup.expect("an entry");
        let id = backup.file_name().into_string().expect("an id");
        let sealed = backup.path().join("manifest.json").is_file();
        assert!(
            sealed || journal_names(&target.store(), &id),
            "half a backup: {id}"
        );
    }
}

fn journal_names(store: &Path, id: &str) -> bool {
    let runs = std::fs::read_dir(store.join("runs"));
    let mut runs = runs.into_iter().flatten().flatten();
    runs.any(|run| {
        let records = std::fs::read_dir(run.path().join("journal"));
        let mut records = records.into_iter().flatten().flatten();
        records.any(|record| std::fs::read_to_string(record.path()).is_ok_and(|r| r.contains(id)))
    })
}
