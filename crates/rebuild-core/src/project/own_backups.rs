//! Whose backups are the target's, in a store that holds those of several servers.

use std::collections::BTreeSet;

use super::Project;
use crate::error::Result;
use crate::event::Ctx;
use crate::journal::RunSummary;
use crate::model::Identity;
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
    /// Takes apart which of `all` are the target's, to be read. Where those that are called like it are of one
    /// server alone, they are: it may be gone, and another one in its place.
    ///
    /// # Errors
    /// They are of several servers, and the target's does not answer.
    pub(super) async fn named_like_the_target(
        &self,
        ctx: &Ctx,
        all: Vec<BackupSummary>,
    ) -> Result<Named> {
        let all = self.of_that_name(all);
        if servers(&all) < 2 {
            let (own, others) = (all, Vec::new());
            return Ok(Named { own, others });
        }
        self.apart(ctx, all).await.map_err(|e| {
            e.hint("name the backup (rebuild backups list), or try again when the server answers")
        })
    }

    /// Takes apart which of `all` are the target's, to be removed: what is called like it may well be what it
    /// is a copy of.
    ///
    /// # Errors
    /// There are any, and the target's server does not answer.
    pub(super) async fn certainly_the_targets(
        &self,
        ctx: &Ctx,
        all: Vec<BackupSummary>,
    ) -> Result<Named> {
        let all = self.of_that_name(all);
        if all.is_empty() {
            let (own, others) = (all, Vec::new());
            return Ok(Named { own, others });
        }
        self.apart(ctx, all)
            .await
            .map_err(|e| e.hint("try again when the server answers"))
    }

    fn of_that_name(&self, mut all: Vec<BackupSummary>) -> Vec<BackupSummary> {
        all.retain(|b| b.of.name == self.endpoint.database);
        all
    }

    async fn apart(&self, ctx: &Ctx, all: Vec<BackupSummary>) -> Result<Named> {
        let here = self.server_now(ctx).await.map_err(|e| {
            let of_what = match servers(&all) {
                1 => "another server or this one".to_owned(),
                several => format!("{several} servers"),
            };
            e.context(format!(
                "the store has backups of {:?} of {of_what}, and which are its own could not be asked",
                self.endpoint.database
            ))
        })?;
        let lineage = lineage(here, &self.runs().await?);
        let (own, others) = all
            .into_iter()
            .partition(|b| lineage.contains(&b.of.server));
        Ok(Named { own, others })
    }

    /// True if `database` is on the target's server, or was on one that its runs have replaced.
    ///
    /// # Errors
    /// The server does not answer, or the store cannot be read.
    pub(super) async fn was_here(&self, ctx: &Ctx, database: &Identity) -> Result<bool> {
        let here = self.server_now(ctx).await?;
        Ok(
            here == database.server
                || lineage(here, &self.runs().await?).contains(&database.server),
        )
    }

    async fn server_now(&self, ctx: &Ctx) -> Result<String> {
        let session = Session::open(&self.maintenance(), &application(ctx)).await?;
        let here = system_identifier(&session).await;
        session.close().await;
        here
    }
}

/// How many servers the databases are on that `backups` are of.
fn servers(backups: &[BackupSummary]) -> usize {
    let servers: BTreeSet<&str> = backups.iter().map(|b| b.of.server.as_str()).collect();
    servers.len()
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
