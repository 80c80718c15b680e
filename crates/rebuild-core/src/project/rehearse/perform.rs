//! What a rehearsal does between its record and its end.

use std::time::Instant;

use super::record::{Record, Shelf};
use super::{Project, RehearsedStep, tool_of};
use crate::engine::Report;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::journal::{self, Ending};
use crate::model::RunId;
use crate::plan::{Plan, makes_only};
use crate::project::compose;
use crate::project::copy::Copying;
use crate::spec::Spec;

/// What came of it.
#[derive(Default)]
pub(super) struct Performed {
    /// What would refuse the run itself.
    pub(super) in_the_way: Vec<String>,
    pub(super) steps: Vec<RehearsedStep>,
    /// That of the run, if it has begun.
    pub(super) report: Option<Report>,
}

impl Performed {
    /// Notes a step that was done.
    pub(super) fn note(&mut self, id: &str, title: &str, seconds: f64) {
        self.steps.push(RehearsedStep {
            id: id.to_owned(),
            title: title.to_owned(),
            seconds: Some(seconds),
            error: None,
        });
    }
}

/// A rehearsal that is written down.
pub(super) struct Performance<'a> {
    pub(super) project: &'a Project,
    /// The spec of the rehearsal.
    pub(super) alike: &'a Spec,
    pub(super) shelf: &'a Shelf,
    pub(super) record: &'a Record,
}

impl Performance<'_> {
    /// Makes the workspaces and the copy, runs on them, and purges what the run retired.
    ///
    /// # Errors
    /// The run could not begin; the purge failed.
    pub(super) async fn perform(&self, performed: &mut Performed) -> Result<()> {
        let mut ctx = self.project.ctx();
        ctx.run = self.record.id.clone();
        Box::pin(self.workspaces(&ctx, performed)).await?;
        let began = Instant::now();
        let title = "copy the target to rehearse on";
        let copying = Box::pin(self.copy(&ctx));
        ctx.step("rehearsal-copy", title, copying).await?;
        performed.note("rehearsal-copy", title, began.elapsed().as_secs_f64());
        let stand_in = Box::new(Box::pin(self.stand_in()).await?);
        let Some(run) = Box::pin(self.run(&stand_in, performed)).await? else {
            return Ok(());
        };
        let began = Instant::now();
        let title = "purge what the run retired";
        let purging = stand_in.purge(&run, Some(&self.record.database), true);
        ctx.step("rehearsal-purge", title, Box::pin(purging))
            .await?;
        performed.note("rehearsal-purge", title, began.elapsed().as_secs_f64());
        Ok(())
    }

    /// Runs on the copy. Returns the run, if it has come to its end.
    async fn run(&self, stand_in: &Project, performed: &mut Performed) -> Result<Option<RunId>> {
        let plan = Box::pin(self.plan(stand_in)).await?;
        let report = Box::pin(stand_in.execute(plan, Some(&self.record.database))).await?;
        let run = report.run.clone();
        let done = report.ending == Ending::Done;
        performed.report = Some(report);
        let steps = journal::summary(&stand_in.store, &run).await?.steps;
        performed
            .steps
            .extend(steps.into_iter().map(|step| RehearsedStep {
                id: step.id,
                title: step.title,
                seconds: step.seconds,
                error: step.error,
            }));
        Ok(done.then_some(run))
    }

    async fn plan(&self, stand_in: &Project) -> Result<Plan> {
        let survey = Box::pin(stand_in.survey_for_plan(true)).await?;
        let plan = stand_in.plan_of(survey)?;
        makes_only(&plan.survey.infrastructure)?;
        Ok(plan)
    }

    /// First, while nothing else is there: a tool refuses to make a workspace that somebody else has made
    /// meanwhile.
    async fn workspaces(&self, ctx: &Ctx, performed: &mut Performed) -> Result<()> {
        for (place, workspace) in self.record.workspaces.iter().enumerate() {
            let tool = tool_of(self.alike, &workspace.infrastructure)?;
            let began = Instant::now();
            let step = format!("rehearsal-workspace-{}", workspace.infrastructure);
            let title = format!("make {}", tool.name());
            let making = async {
                tool.make_new_workspace(ctx).await?;
                self.shelf.note_made(place).await
            };
            ctx.step(&step, &title, making).await?;
            performed.note(&step, &title, began.elapsed().as_secs_f64());
        }
        Ok(())
    }

    async fn copy(&self, ctx: &Ctx) -> Result<()> {
        let project = self.project;
        let copying = Copying {
            source: &project.endpoint,
            from: self.record.target.clone(),
            server: project.maintenance(),
            name: &self.record.database,
            options: compose::row_options(&project.spec),
            tools: compose::tools(&project.spec),
            mark: Some(self.record.mark()),
            environment: &project.environment,
        };
        let (_, verdict) = copying
            .by_way_of(ctx, self.shelf.of_the_copy()?, None)
            .await?;
        if verdict.passed() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Mismatch,
            format!(
                "the copy to rehearse on differs from the target: {}",
                verdict.complaints().join("; ")
            ),
        ))
    }

    /// The project of the rehearsal, whose target is the copy.
    async fn stand_in(&self) -> Result<Project> {
        let project = self.project;
        let opening = Project::open(
            self.alike.clone(),
            &project.environment,
            project.events.clone(),
            project.stop.clone(),
        );
        let mut stand_in = Box::pin(opening).await?;
        stand_in.endpoint.database.clone_from(&self.record.database);
        stand_in.store = self.shelf.store();
        stand_in.functions.clone_from(&project.functions);
        stand_in.rehearsal = Some(self.record.id.clone());
        Ok(stand_in)
    }
}
