//! `run --rehearse`: the whole run on a copy of the target, in workspaces of its own, and nothing left of
//! it afterwards.

mod alike;
mod alone;
mod clean;
mod named;
mod perform;
mod record;
mod report;
#[cfg(test)]
mod tests;

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use self::alike::alike;
use self::alone::Alone;
use self::clean::{Cleaned, Cleaning};
use self::perform::{Performance, Performed};
use self::record::{Record, Shelf, Workspace};
use super::Project;
use crate::command::Infrastructure;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::journal::Ending;
use crate::model::Identity;
use crate::plan::{RehearsalName, may_begin};
use crate::postgres::{DatabaseKey, Session, application, find_database, server_facts};
use crate::spec::Spec;

pub use report::{Rehearsal, RehearsedStep};

/// What the last step does.
const CLEAN: &str = "remove all that the rehearsal made, and look whether it is gone";

/// A rehearsal that may begin.
struct Rehearsing<'a> {
    project: &'a Project,
    name: &'a RehearsalName,
    /// The spec of the rehearsal.
    alike: Spec,
    not_rehearsed: Vec<String>,
    /// The name of the database that stands in for the target.
    database: String,
    shelf: Shelf,
}

impl Project {
    /// Does the whole run on a copy of the target beside it, with its infrastructure in workspaces called
    /// `name`, and removes everything that it made. The target is only read, and stays open. What
    /// reaches further (workloads, after-steps, hooks, servers that would be replaced, what is done
    /// elsewhere but for jobs of Cloud Run that work on the copy) is not done, and is listed.
    ///
    /// *Repeats:* what an earlier rehearsal of that name left, which was killed or could not clean up, is
    /// removed first. *Destroys:* what it made itself: databases that carry its mark, what is managed in
    /// workspaces that it made, its part of the store.
    ///
    /// # Errors
    /// A refusal, with nothing made: what the run itself would be refused for, but for sessions in the
    /// target; a rehearsal of that name is going on; a database or a workspace of the name exists that
    /// no rehearsal made; the spec cannot be rehearsed. With everything removed again: the copy could
    /// not be made, or the plan of the run on it is refused. What happens once the run has begun is in
    /// the report, and whatever could not be removed.
    pub async fn rehearse(&self, name: &RehearsalName) -> Result<Rehearsal> {
        let began = Instant::now();
        let ctx = self.ctx();
        let target = &self.endpoint.database;
        let session = Session::open(&self.maintenance(), &application(&ctx)).await?;
        let server = server_facts(&session).await?.system_identifier;
        session.close().await;
        let (alike, not_rehearsed) = alike(&self.spec, name);
        let rehearsing = Rehearsing {
            project: self,
            name,
            alike,
            not_rehearsed,
            database: name.database(target),
            shelf: Shelf::of(&self.store, name, &server, target)?,
        };
        let alone = Alone::take(&self.maintenance(), &ctx, &rehearsing.database).await?;
        let rehearsed = Box::pin(rehearsing.rehearse(began)).await;
        alone.release().await;
        rehearsed
    }
}

/// The tool of an infrastructure in its workspace, without the spec's targets: what they depend on was made
/// with them, and would stay.
fn tool_of(alike: &Spec, infrastructure: &str) -> Result<Infrastructure> {
    let mut specs = alike.infrastructure.iter();
    let spec = specs.find(|spec| spec.name == infrastructure);
    let mut spec = spec.cloned().ok_or_else(|| {
        Error::refused(format!(
            "the spec has no infrastructure {infrastructure:?} with workspaces any more"
        ))
        .hint("put it back into the spec, then go on")
    })?;
    spec.targets.clear();
    Infrastructure::new(&spec, alike.folder())
}

impl Rehearsing<'_> {
    async fn rehearse(&self, began: Instant) -> Result<Rehearsal> {
        let mut performed = Performed::default();
        // First, for it may be what a guard refuses: a full disk, for example.
        if let Some(left) = self.shelf.read().await? {
            let warning = format!("an earlier rehearsal {} is cleaned up first", self.name);
            self.project.events.warn(warning);
            let cleaned = Box::pin(self.clean(&left)).await;
            if !cleaned.left.is_empty() {
                return Ok(self.report(performed, cleaned, None, began));
            }
        }
        let ctx = self.project.ctx();
        let target = Box::pin(self.guards(&mut performed)).await?;
        self.require_free(&ctx).await?;
        let workspaces = Box::pin(self.new_workspaces(&ctx)).await?;
        let record = Record::new(target, self.database.clone(), workspaces);
        self.shelf.write(&record).await?;
        let performance = Performance {
            project: self.project,
            alike: &self.alike,
            shelf: &self.shelf,
            record: &record,
        };
        let done = Box::pin(performance.perform(&mut performed)).await;
        let cleaning = Instant::now();
        let cleaned = Box::pin(self.clean(&record)).await;
        let took = cleaning.elapsed().as_secs_f64();
        performed.note("rehearsal-clean", CLEAN, took);
        match done {
            // Nothing of the run itself has happened, so it fails as the run would have.
            Err(e)
                if cleaned.left.is_empty()
                    && performed.report.is_none()
                    && e.kind() != ErrorKind::Interrupted =>
            {
                Err(e)
            }
            done => Ok(self.report(performed, cleaned, done.err(), began)),
        }
    }

    /// Everything that refuses the run refuses its rehearsal, but for sessions. Returns which database the
    /// target is.
    async fn guards(&self, performed: &mut Performed) -> Result<Identity> {
        let project = self.project;
        alike::refuse(&project.spec, self.name, &project.endpoint.database)?;
        project.refuse_open_run().await?;
        let survey = Box::pin(project.survey(false)).await?;
        let plan = project.plan_of(survey)?;
        performed.in_the_way = may_begin(&plan)?;
        Ok(plan.target)
    }

    /// Removes what `record` tells of, whatever the operator does meanwhile.
    async fn clean(&self, record: &Record) -> Cleaned {
        let mut ctx = self.project.ctx();
        ctx.stop = CancellationToken::new();
        let cleaning = Cleaning {
            project: self.project,
            name: self.name,
            alike: &self.alike,
            shelf: &self.shelf,
            record,
        };
        let mut cleaned = Cleaned::default();
        let cleaning = async {
            cleaned = Box::pin(cleaning.clean(&ctx)).await;
            match cleaned.left.as_slice() {
                [] => Ok(()),
                left => Err(Error::refused(left.join("; "))),
            }
        };
        // Whatever is left is in the report as well.
        let _ = ctx.step("rehearsal-clean", CLEAN, cleaning).await;
        cleaned
    }

    /// Nobody has a database of the name.
    async fn require_free(&self, ctx: &Ctx) -> Result<()> {
        let session = Session::open(&self.project.maintenance(), &application(ctx)).await?;
        let taken = find_database(&session, DatabaseKey::Name(&self.database)).await?;
        session.close().await;
        match taken {
            None => Ok(()),
            Some(taken) => Err(Error::refused(format!(
                "{taken} exists already, and no rehearsal {} made it",
                self.name
            ))
            .hint("give the rehearsal another name")),
        }
    }

    /// The workspaces to make, none of which is there.
    async fn new_workspaces(&self, ctx: &Ctx) -> Result<Vec<Workspace>> {
        let mut workspaces = Vec::new();
        for (place, spec) in self.alike.infrastructure.iter().enumerate() {
            let mut before = self.alike.infrastructure.iter().take(place);
            if before.any(|other| other.folder == spec.folder) {
                continue;
            }
            let tool = tool_of(&self.alike, &spec.name)?;
            let stand = tool.workspace(ctx).await?;
            if stand.exists {
                return Err(Error::refused(format!(
                    "infrastructure {:?}: {} exists already, and no rehearsal {} made it",
                    spec.name,
                    tool.name(),
                    self.name
                ))
                .hint("give the rehearsal another name"));
            }
            workspaces.push(Workspace {
                infrastructure: spec.name.clone(),
                selected: stand.selected,
            });
        }
        Ok(workspaces)
    }

    fn report(
        &self,
        performed: Performed,
        cleaned: Cleaned,
        failed: Option<Error>,
        began: Instant,
    ) -> Rehearsal {
        let clean = cleaned.left.is_empty();
        let run = performed.report;
        let done = failed.is_none() && run.as_ref().is_some_and(|r| r.ending == Ending::Done);
        let ran = run.as_ref().and_then(|run| run.error.clone());
        let hint = run.as_ref().and_then(|run| run.hint.clone());
        let advice = failed.as_ref().and_then(Error::advice).map(str::to_owned);
        Rehearsal {
            name: self.name.to_string(),
            database: self.database.clone(),
            ending: match (clean, done) {
                (false, _) => Ending::Stuck,
                (true, true) => Ending::Done,
                (true, false) => Ending::RolledBack,
            },
            error: failed.as_ref().map(Error::chain).or(ran),
            hint: advice.or(hint),
            steps: performed.steps,
            not_rehearsed: self.not_rehearsed.clone(),
            in_the_way: performed.in_the_way,
            gone: cleaned.gone,
            left: cleaned.left,
            next: (!clean).then(|| format!("rebuild run --rehearse {}", self.name)),
            shut_out_ms: run.and_then(|run| run.shut_out_ms),
            seconds: began.elapsed().as_secs_f64(),
        }
    }
}
