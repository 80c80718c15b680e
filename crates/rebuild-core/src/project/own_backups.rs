//! Whose backups are the target's, in a store that holds those of several servers.

use std::collections::BTreeSet;

use super::Project;
use crate::error::Result;
use crate::event::Ctx;
use crate::journal::RunSummary;
use crate::postgres::{Session, application, system_identifier};
use crate::traits::BackupSummary;

/// Backups of databases that are called like the target.
pub(super) struct Named {
    /// Those of the target's server, and of servers that its runs have replaced; newest first.
    pub own: Vec<BackupSummary>,
    /// Those of other servers. A copy of the target for tests may be called like it and share the store.
    pub others: Vec<BackupSummary>,
}

impl Project {
    /// Takes apart which of `all` are the target's. Where those that are called like it are of one server
    /// alone, they are: it may be gone, and another one in its place.
    ///
    /// # Errors
    /// They are of several servers, and the target's does not answer.
    pub(super) async fn named_like_the_target(
        &self,
        ctx: &Ctx,
        mut all: Vec<BackupSummary>,
    ) -> Result<Named> {
        let name = &self.endpoint.database;
        all.retain(|b| b.of.name == *name);
        let servers: BTreeSet<&str> = all.iter().map(|b| b.of.server.as_str()).collect();
        if servers.len() < 2 {
            let (own, others) = (all, Vec::new());
            return Ok(Named { own, others });
        }
        let here = self.server_now(ctx).await.map_err(|e| {
            let several = format!(
                "the store has backups of {name:?} of {} servers",
                servers.len()
            );
            e.context(format!(
                "{several}, and which are its own could not be asked"
            ))
            .hint("name the backup (rebuild backups list), or try again when the server answers")
        })?;
        let lineage = lineage(here, &self.runs().await?);
        let (own, others) = all
            .into_iter()
            .partition(|b| lineage.contains(&b.of.server));
        Ok(Named { own, others })
    }

    async fn server_now(&self, ctx: &Ctx) -> Result<String> {
        let session = Session::open(&self.maintenance(), &application(ctx)).await?;
        let here = system_identifier(&session).await;
        session.close().await;
        here
    }
}

/// The server `here`, and those that stood in its place before: a run that replaces the whole server begins
/// with one and ends with another.
fn lineage(here: String, runs: &[RunSummary]) -> BTreeSet<String> {
    let mut lineage = BTreeSet::from([here]);
    // Newest first, so that what a run began with was made by one that comes after it here.
    for run in runs {
        let made = run.made.as_ref();
        if made.is_some_and(|made| lineage.contains(&made.server)) {
            lineage.insert(run.target.server.clone());
        }
    }
    lineage
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{Identity, RunId};

    fn run(from: &str, to: Option<&str>) -> RunSummary {
        let on = |server: &str| Identity {
            server: server.to_owned(),
            name: "app".to_owned(),
            uid: "1".to_owned(),
        };
        RunSummary {
            id: RunId::generate(),
            target: on(from),
            made: to.map(on),
            ending: None,
            began: Timestamp::UNIX_EPOCH,
            ended: None,
            purged: false,
            steps: Vec::new(),
        }
    }

    #[test]
    fn a_server_stands_in_the_place_of_those_that_runs_replaced() {
        // Newest first: 1 was replaced by 2, and that by 3; 8 by 9 are somebody else's.
        let runs = [
            run("3", None),
            run("2", Some("3")),
            run("8", Some("9")),
            run("1", Some("2")),
            run("1", Some("1")),
        ];
        let of = |here: &str| Vec::from_iter(lineage(here.to_owned(), &runs));
        assert_eq!(of("3"), ["1", "2", "3"]);
        assert_eq!(of("2"), ["1", "2"]);
        assert_eq!(of("9"), ["8", "9"]);
        assert_eq!(of("5"), ["5"]);
    }
}
