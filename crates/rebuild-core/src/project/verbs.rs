//! `status`, `plan`, `run`, `resume`, `rollback`, `purge`, `verify`.
//!
//! What goes deep is boxed: the verbs of a caller that does several of them would otherwise not fit
//! on a thread's stack.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::programs::OwnPrograms;
use super::{InfrastructureStatus, Project};
use crate::engine::{Engine, Report, RollbackOptions};
use crate::error::{Error, Result};
use crate::journal::{self, Ending, RunSummary};
use crate::model::{BackupId, Endpoint, RunId, Verdict};
use crate::plan::{Plan, Survey};
use crate::postgres::{Comparison, PgComparison, PgCsvRestorer, compare};
use crate::shell_word;
use crate::spec::SchemaSource;
use crate::traits::{BackupMode, Surveyor, Verifier, VerifyRequest};

/// What is there.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Status {
    /// Where the target is, without the password.
    pub endpoint: String,
    /// The target, its server, its drift.
    pub survey: Survey,
    /// What infrastructure-as-code tools manage.
    pub infrastructure: Vec<InfrastructureStatus>,
    /// The last runs, newest first.
    pub runs: Vec<RunSummary>,
}

impl Project {
    /// What is there: the target, its drift, its migration version, the last runs.
    ///
    /// *Destroys:* nothing; with `drift`, a scratch database is made and removed.
    ///
    /// # Errors
    /// The target or the store could not be read.
    pub async fn status(&self, drift: bool) -> Result<Status> {
        let mut runs = self.runs().await?;
        runs.truncate(5);
        Ok(Status {
            endpoint: self.endpoint.describe(),
            survey: Box::pin(self.survey(drift)).await?,
            infrastructure: self.infrastructure_status(&self.ctx()).await?,
            runs,
        })
    }

    /// What a run would do, and what would be lost.
    ///
    /// *Destroys:* nothing; with `drift`, a scratch database is made and removed.
    ///
    /// # Errors
    /// The target could not be read; the folder of CSV files holds something else. A guard that
    /// refuses is in the plan.
    pub async fn plan(&self, drift: bool) -> Result<Plan> {
        let survey = Box::pin(self.survey_for_plan(drift)).await?;
        self.plan_of(survey)
    }

    pub(super) async fn survey_for_plan(&self, drift: bool) -> Result<Survey> {
        self.require_functions()?;
        if let Some(folder) = self.csv_folder() {
            PgCsvRestorer::check_folder(&folder).await?;
        }
        let mut survey = Box::pin(self.survey(drift)).await?;
        survey.infrastructure = Box::pin(self.planned_infrastructure(&self.ctx())).await?;
        Ok(survey)
    }

    pub(super) async fn survey(&self, drift: bool) -> Result<Survey> {
        let ctx = self.ctx();
        let surveyor = Box::pin(self.surveyor()).await?;
        #[allow(
            unused_mut,
            reason = "what is around it is only seen with a backend for it"
        )]
        let mut survey = match surveyor.survey(&ctx, drift).await {
            Ok(survey) => survey,
            #[cfg(feature = "cloudsql")]
            Err(e) => return Err(self.with_missing_users(&ctx, e).await),
            #[cfg(not(feature = "cloudsql"))]
            Err(e) => return Err(e),
        };
        #[cfg(feature = "k8s")]
        {
            survey.cluster = Box::pin(self.cluster_facts(&ctx)).await?;
        }
        #[cfg(feature = "cloudsql")]
        {
            survey.instance = Box::pin(self.instance_facts(&ctx)).await?.map(Box::new);
        }
        #[cfg(feature = "gcp")]
        {
            survey.gcp = Box::pin(self.gcp_facts(&ctx)).await?.map(Box::new);
        }
        Ok(survey)
    }

    pub(super) fn plan_of(&self, survey: Survey) -> Result<Plan> {
        self.with_rules(|rules| Plan::build(rules, survey))?
    }

    /// Rebuilds the target. A stored plan is checked against the state of this moment.
    ///
    /// # Errors
    /// A guard refused, the plan is stale, or the name was not typed: nothing was touched. What
    /// happens once the run has begun is in the report.
    pub async fn run(&self, stored: Option<&Plan>, confirm: Option<&str>) -> Result<Report> {
        let survey = Box::pin(self.survey_for_plan(true)).await?;
        if let Some(stored) = stored {
            let mut seen = survey.clone();
            if stored.drift().is_none() {
                // It was made without a look at the drift, which the guards have all the same.
                (seen.drift, seen.new_schema_hash) = (None, None);
            }
            stored.require_same_state(&self.plan_of(seen)?)?;
        }
        let plan = self.plan_of(survey)?;
        Box::pin(self.execute(plan, confirm)).await
    }

    /// Runs `plan`, which was made from the state of this moment.
    pub(super) async fn execute(&self, plan: Plan, confirm: Option<&str>) -> Result<Report> {
        plan.permit_run(confirm)?;
        self.refuse_open_run().await?;
        let engine = self.engine(&plan)?;
        let report = Box::pin(engine.run(RunId::generate(), plan)).await?;
        self.forget_source(&report).await;
        self.hooks(&report).await;
        Ok(report)
    }

    /// A run that has not ended holds the workloads still and a staged database: it is ended
    /// first.
    pub(super) async fn refuse_open_run(&self) -> Result<()> {
        match self.open_run().await? {
            None => Ok(()),
            Some(run) => {
                let hint = self.ways_out(&run).await;
                Err(Error::refused(format!("{run} has not ended")).hint(hint))
            }
        }
    }

    /// Goes on with a run that was killed or halted.
    ///
    /// # Errors
    /// See [`Engine::resume`].
    pub async fn resume(&self, run: &RunId) -> Result<Report> {
        self.require_functions()?;
        let plan = journal::plan(&self.store, run).await?;
        let engine = self.engine(&plan)?;
        let report = Box::pin(engine.resume(run, self.spec.digest())).await?;
        self.forget_source(&report).await;
        self.hooks(&report).await;
        Ok(report)
    }

    /// Brings the old database back. A production target's name must be typed.
    ///
    /// # Errors
    /// See [`Engine::rollback`].
    pub async fn rollback(
        &self,
        run: &RunId,
        confirm: Option<&str>,
        accept_writes: bool,
    ) -> Result<Report> {
        let plan = journal::plan(&self.store, run).await?;
        self.require_own(run, &plan)?;
        self.require_typed(&plan, confirm)?;
        let engine = self.engine(&plan)?;
        let options = RollbackOptions { accept_writes };
        let report = Box::pin(engine.rollback(run, options)).await?;
        self.forget_source(&report).await;
        Ok(report)
    }

    /// True if the spec labels the target so, or did when the run began, or the target said so itself.
    fn is_production(&self, plan: &Plan) -> Result<bool> {
        Ok(plan.is_production() || self.with_rules(|rules| rules.is_production())?)
    }

    fn require_typed(&self, plan: &Plan, confirm: Option<&str>) -> Result<()> {
        let target = &plan.target;
        if self.is_production(plan)? && confirm != Some(target.name.as_str()) {
            return Err(Error::refused(format!(
                "{:?} is labelled as production, so its name must be typed",
                target.name
            ))
            .hint(format!("give --confirm {}", shell_word(&target.name))));
        }
        Ok(())
    }

    /// Destroys what a run set aside, once its retention has ended (or `now`). Returns its name,
    /// or nothing if it is gone already.
    ///
    /// # Errors
    /// A refusal while the retention runs, or if neither a proven backup nor a typed name allows
    /// it.
    pub async fn purge(
        &self,
        run: &RunId,
        confirm: Option<&str>,
        now: bool,
    ) -> Result<Option<String>> {
        let summary = self.show_run(run).await?;
        let plan = journal::plan(&self.store, run).await?;
        self.require_own(run, &plan)?;
        if summary.is_open() {
            return Err(
                Error::refused(format!("{run} has not ended")).hint(self.ways_out(run).await)
            );
        }
        if !now {
            self.refuse_retained(&summary)?;
        }
        // That of the new database, where the old one is back, the engine asks for.
        let goes_back = summary.ending == Some(Ending::RolledBack);
        if self.is_production(&plan)? && confirm.is_none() && !goes_back {
            return Err(Error::refused(format!(
                "{:?} is labelled as production, so the name of what is destroyed must be typed",
                plan.target.name
            ))
            .hint(format!("give --confirm {}", shell_word(&plan.target.name))));
        }
        let engine = self.engine(&plan)?;
        Box::pin(engine.purge(run, confirm)).await
    }

    fn refuse_retained(&self, run: &RunSummary) -> Result<()> {
        let keep = self.spec.retention.keep_retired.0;
        let Some(ended) = run.ended else {
            return Err(Error::refused(format!("{} has not ended", run.id)));
        };
        let free = ended + keep;
        if jiff::Timestamp::now() < free {
            return Err(
                Error::refused(format!("what {} set aside is kept until {free}", run.id))
                    .hint("wait, or give --now"),
            );
        }
        Ok(())
    }

    /// Verifies the target as it is, or against a backup: with a full one every row is compared, but for the
    /// tables that the spec does not restore, or that its check of content excepts; where the schema comes
    /// from the backup, so are tables with rows, and columns, that the backup lacks. With `rows`, the keys
    /// of rows that differ from the backup are told as well; for that, the rows of tables that differ are
    /// loaded into temporary tables on the target's server.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// The target or the backup could not be read; the backup is of another database; rows are
    /// to be named, and there is no backup, or no room for them. A difference is in the verdict.
    pub async fn verify(&self, backup: Option<&BackupId>, rows: bool) -> Result<Verdict> {
        let ctx = self.ctx();
        let mode = match backup {
            Some(backup) => {
                self.require_ours(&ctx, backup).await?;
                Some(self.pg_backup().manifest(backup).await?.mode)
            }
            None => None,
        };
        let whole = mode == Some(BackupMode::Full);
        if rows && !whole {
            return Err(
                Error::usage("there is no backup with rows that could be named")
                    .hint("name a full backup to compare with"),
            );
        }
        let restorer = self.restorer(self.spec.schema_from() == SchemaSource::Backup)?;
        let comparison = PgComparison {
            restorer,
            crew: None,
            name_rows: rows,
        };
        let verifier = match whole {
            false => self.verifier(None)?,
            true => self.comparer_by(Arc::new(comparison))?,
        };
        self.verified(backup, &*verifier).await
    }

    /// Verifies the target against a backup by the checks of the spec alone.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    #[cfg(feature = "cloudsql")]
    pub(super) async fn verify_by_spec(&self, backup: &BackupId) -> Result<Verdict> {
        self.require_ours(&self.ctx(), backup).await?;
        self.verified(Some(backup), &*self.verifier(None)?).await
    }

    async fn verified(
        &self,
        backup: Option<&BackupId>,
        verifier: &dyn Verifier,
    ) -> Result<Verdict> {
        let ctx = self.ctx();
        let request = VerifyRequest {
            db: self.target(&ctx).await?,
            backup: backup.cloned(),
            live: backup.is_none(),
        };
        verifier.verify(&ctx, &request).await
    }

    /// Compares every row of the target with those of the database at `other`. With `rows`, the
    /// keys of rows that differ are told as well.
    ///
    /// *Destroys:* nothing.
    ///
    /// # Errors
    /// Both are the same database, or one could not be read. A difference is in the comparison.
    pub async fn compare(&self, other: &Endpoint, rows: bool) -> Result<Comparison> {
        compare(&self.ctx(), &self.endpoint, other, rows).await
    }

    /// An engine for what `plan` has pinned and shown.
    fn engine(&self, plan: &Plan) -> Result<Engine> {
        let mut backends = self.backends_of(plan)?;
        backends.infrastructure = self.infrastructure_tasks(plan)?;
        let (store, events) = (self.store.clone(), self.events.clone());
        let engine = Engine::new(backends, store, events, self.stop.clone());
        Ok(engine.run_by(Arc::new(OwnPrograms::new(self.pg_backup()))))
    }
}

#[cfg(test)]
mod tests;
