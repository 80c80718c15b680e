//! What of a spec lives in Google Cloud, besides the database.

mod executions;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Project;
use crate::command::Redaction;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::gcp::{
    Backfill, BackfillTask, CloudRun, CountRows, GcpCheck, GcpVerifier, Overrides, PlannedJob,
    Prices, RunJobTask, RunRestartTask, ServiceWorkload, is_set_by_run,
};
use crate::google::GoogleApi;
use crate::model::{BackfillFacts, Endpoint, GcpFacts, Identity, StepMark};
use crate::postgres::{FunctionMigrator, Session, qualified, server_error, verify};
use crate::spec::{
    BigQuerySpec, CheckSpec, CloudRunTaskSpec, CommandSpec, MigratorSpec, Spec, WorkloadSpec,
};
use crate::traits::{SchemaApplier, Task, Verifier, Workload};

/// Makes sure that what the spec says of Google Cloud can be understood, before anything is touched.
///
/// # Errors
/// Wrong input, with the key.
pub(super) fn check(spec: &Spec) -> Result<()> {
    for step in steps(spec) {
        let Some(task) = step.task.filter(|task| task.job.is_some()) else {
            continue;
        };
        let own = step.env.keys().chain(&task.database_variable);
        if let Some(name) = own.into_iter().find(|name| is_set_by_run(name)) {
            return Err(Error::usage(format!(
                "{}: env.{name} is set by the run, and cannot be set by the spec",
                step.name
            )));
        }
    }
    for check in &spec.checks {
        if let CheckSpec::BigqueryRows { table, .. } = check {
            verify::table_name(table)?;
        }
    }
    Ok(())
}

/// A step that may be one of Google Cloud's.
struct Step<'a> {
    /// Unique in a run.
    name: String,
    task: Option<&'a CloudRunTaskSpec>,
    env: &'a std::collections::BTreeMap<String, String>,
}

/// Every step that Cloud Run may do, in the order of a run.
fn steps(spec: &Spec) -> Vec<Step<'_>> {
    let schema = spec.schema.command.iter().map(|m| ("schema", m));
    let migrators = schema.chain(spec.migrate.iter().map(|m| ("migrate", m)));
    let mut steps: Vec<Step<'_>> = migrators
        .map(|(name, migrator)| Step {
            name: name.to_owned(),
            task: migrator.cloud_run.as_ref(),
            env: &migrator.env,
        })
        .collect();
    let loads = spec.loads.iter();
    steps.extend(loads.map(|load| step(format!("load/{}", load.name), load)));
    for after in &spec.after {
        let name = format!("after/{}", after.name);
        let remedy = after.bigquery.iter().flat_map(|b| &b.remedy);
        let remedy = remedy.map(|each| step(remedy_step(&name, each), each));
        let remedy: Vec<Step<'_>> = remedy.collect();
        steps.push(step(name, after));
        steps.extend(remedy);
    }
    steps
}

fn step(name: String, command: &CommandSpec) -> Step<'_> {
    Step {
        name,
        task: command.cloud_run.as_ref(),
        env: &command.env,
    }
}

fn remedy_step(step: &str, remedy: &CommandSpec) -> String {
    format!("{step}/remedy/{}", remedy.name)
}

fn overrides(task: &CloudRunTaskSpec) -> Overrides {
    Overrides {
        tasks: task.tasks,
        most_tasks: task.most_tasks(),
        args: task.args.clone(),
        container: task.container.clone(),
        task_timeout: task.task_timeout.map(|timeout| timeout.0),
    }
}

impl Project {
    /// The region of something that names `own`, or none. Specs without either are refused when they are
    /// read.
    fn region(&self, own: Option<&String>) -> Result<String> {
        let usual = self.spec.gcp.as_ref().and_then(|gcp| gcp.region.as_ref());
        own.or(usual)
            .cloned()
            .ok_or_else(|| Error::internal("a spec without a region has something in one"))
    }

    /// The load or after-step, if Google Cloud does it. `place` is its place among others of its kind.
    pub(super) fn gcp_task(
        &self,
        mark: &StepMark,
        place: usize,
        spec: &CommandSpec,
    ) -> Result<Option<Arc<dyn Task>>> {
        if let Some(task) = &spec.cloud_run {
            let env = spec.env.clone().into_iter().collect();
            let name = &spec.name;
            let task = self.run_task(name, mark, task, env, spec.timeout.0)?;
            return Ok(Some(task));
        }
        match &spec.bigquery {
            None => Ok(None),
            Some(queries) => self.backfill(mark, place, spec, queries).map(Some),
        }
    }

    /// The migrator, if it is a job of Cloud Run.
    pub(super) fn gcp_migrator(
        &self,
        step: &str,
        spec: &MigratorSpec,
    ) -> Result<Option<Arc<dyn SchemaApplier>>> {
        let Some(task) = &spec.cloud_run else {
            return Ok(None);
        };
        let env = spec.env.clone().into_iter().collect();
        // A second one does nothing, and one for the drift's scratch database is another one.
        let mark = StepMark::once(step);
        let job = self.run_task("migrator", &mark, task, env, spec.timeout.0)?;
        let migrator = FunctionMigrator::new(job, self.endpoint.clone());
        Ok(Some(Arc::new(migrator)))
    }

    fn run_task(
        &self,
        name: &str,
        mark: &StepMark,
        task: &CloudRunTaskSpec,
        env: Vec<(String, String)>,
        limit: Duration,
    ) -> Result<Arc<dyn Task>> {
        let google = self.google()?.clone();
        let region = self.region(task.region.as_ref())?;
        let (name, mark) = (name.to_owned(), mark.clone());
        if let Some(service) = &task.restart {
            return Ok(Arc::new(RunRestartTask {
                google,
                region,
                name,
                service: service.clone(),
                mark,
                only_unhealthy: task.only_unhealthy,
                limit,
            }));
        }
        let job = task.job.clone();
        let job = job.ok_or_else(|| Error::internal("a task of Cloud Run does nothing"))?;
        Ok(Arc::new(RunJobTask {
            google,
            region,
            name,
            job,
            mark,
            overrides: overrides(task),
            env,
            database_variable: task.database_variable.clone(),
            limit,
            redaction: Redaction::new(&self.endpoint.password()),
        }))
    }

    fn backfill(
        &self,
        mark: &StepMark,
        place: usize,
        spec: &CommandSpec,
        queries: &BigQuerySpec,
    ) -> Result<Arc<dyn Task>> {
        let backfills = queries.backfill.iter().map(|query| {
            let table = query.table.as_ref().map(|table| table.parse());
            Ok(Backfill {
                config: query.config.clone(),
                table: table.transpose()?,
            })
        });
        let remedy = queries.remedy.iter().map(|each| {
            let mark = StepMark {
                step: remedy_step(&mark.step, each),
                each_time: true,
            };
            self.command(&mark, 0, each)
        });
        Ok(Arc::new(BackfillTask {
            google: self.google()?.clone(),
            name: spec.name.clone(),
            location: queries.location.clone(),
            backfills: backfills.collect::<Result<_>>()?,
            remedy: remedy.collect::<Result<_>>()?,
            place: u32::try_from(place).unwrap_or(u32::MAX),
            limit: spec.timeout.0,
            store: self.store.clone(),
        }))
    }

    /// The workload, if it is a service of Cloud Run.
    pub(super) fn gcp_workload(&self, spec: &WorkloadSpec) -> Result<Option<Arc<dyn Workload>>> {
        let Some(service) = &spec.cloud_run else {
            return Ok(None);
        };
        let service = service.service();
        Ok(Some(Arc::new(ServiceWorkload {
            google: self.google()?.clone(),
            region: self.region(service.region.as_ref())?,
            name: spec.name.clone(),
            service: service.service,
            delete: service.delete,
            limit: spec.timeout.0,
        })))
    }

    /// `first`, and after it the checks of Google Cloud.
    pub(super) fn with_gcp_checks(&self, first: Arc<dyn Verifier>) -> Result<Arc<dyn Verifier>> {
        let mut checks = Vec::new();
        for check in &self.spec.checks {
            match check {
                CheckSpec::CloudRun {
                    service,
                    region,
                    timeout,
                } => checks.push(GcpCheck::Service {
                    region: self.region(region.as_ref())?,
                    service: service.clone(),
                    limit: timeout.0,
                }),
                CheckSpec::BigqueryRows {
                    table,
                    bigquery,
                    location,
                    allowed_difference,
                    timeout,
                } => checks.push(GcpCheck::Rows {
                    table: table.clone(),
                    bigquery: bigquery.parse()?,
                    location: location.clone(),
                    allowed: *allowed_difference,
                    limit: timeout.0,
                }),
                _ => {}
            }
        }
        if checks.is_empty() {
            return Ok(first);
        }
        Ok(Arc::new(GcpVerifier {
            first,
            google: self.google()?.clone(),
            checks,
            counts: Arc::new(Counts(self.endpoint.clone())),
        }))
    }

    /// What a run would use in Google Cloud, if the spec names a project.
    pub(super) async fn gcp_facts(&self, ctx: &Ctx) -> Result<Option<GcpFacts>> {
        let Some(spec) = &self.spec.gcp else {
            return Ok(None);
        };
        let google = self.google()?;
        let mut facts = GcpFacts {
            project: google.project().to_owned(),
            account: google.account().describe(),
            backfills: backfills(&self.spec),
            ..GcpFacts::default()
        };
        let others = GoogleApi::ALL.map(|api| (api, spec.endpoints.get(api.name())));
        let others = others.into_iter().filter_map(|(api, at)| Some((api, at?)));
        facts.endpoints = others.map(|(api, at)| format!("{api} at {at}")).collect();
        let prices = spec.prices.as_ref().map(|prices| Prices {
            vcpu_second: prices.vcpu_second,
            gib_second: prices.gib_second,
            currency: prices.currency.clone(),
        });
        for step in steps(&self.spec) {
            let Some(task) = step.task else { continue };
            let run = CloudRun::open(google, &self.region(task.region.as_ref())?).await?;
            if let Some(job) = &task.job {
                let planned = PlannedJob {
                    step: step.name,
                    job: job.clone(),
                    overrides: overrides(task),
                };
                match run.job_facts(ctx, &planned, prices.as_ref()).await? {
                    Ok(job) => facts.jobs.push(job),
                    Err(why) => facts.unseen.push(why),
                }
            }
            if let Some(service) = &task.restart {
                see_service(ctx, &run, service, false, &mut facts).await?;
            }
        }
        let workloads = self
            .spec
            .workloads
            .iter()
            .filter_map(|w| w.cloud_run.as_ref());
        for workload in workloads {
            let workload = workload.service();
            let region = self.region(workload.region.as_ref())?;
            let run = CloudRun::open(google, &region).await?;
            let (service, deleted) = (&workload.service, workload.delete);
            see_service(ctx, &run, service, deleted, &mut facts).await?;
        }
        Ok(Some(facts))
    }
}

async fn see_service(
    ctx: &Ctx,
    run: &CloudRun,
    service: &str,
    deleted: bool,
    facts: &mut GcpFacts,
) -> Result<()> {
    match run.service_facts(ctx, service, deleted).await? {
        Ok(service) => facts.services.push(service),
        Err(why) => facts.unseen.push(why),
    }
    Ok(())
}

fn backfills(spec: &Spec) -> Vec<BackfillFacts> {
    let queries = (spec.after.iter()).filter_map(|after| Some((after, after.bigquery.as_ref()?)));
    let facts = queries.flat_map(|(after, queries)| {
        queries.backfill.iter().map(|query| BackfillFacts {
            step: format!("after/{}", after.name),
            config: query.config.clone(),
            location: queries.location.clone(),
            table: query.table.clone(),
            may_delete: !queries.remedy.is_empty(),
        })
    });
    facts.collect()
}

/// Counts rows over SQL.
struct Counts(Endpoint);

#[async_trait]
impl CountRows for Counts {
    async fn count(&self, ctx: &Ctx, db: &Identity, table: &str, limit: Duration) -> Result<u64> {
        let table = verify::table_name(table)?;
        let what = format!("could not count the rows of {table}");
        let counting = async {
            let session = Session::open_at(&self.0, db, ctx)
                .await?
                .only_read()
                .await?;
            let sql = format!("select pg_catalog.count(*) from {}", qualified(&table)?);
            let row = session.query_one(&sql, &[]).await;
            let rows: i64 = row.map_err(|e| server_error(&*what, e))?.get(0);
            session.close().await;
            Ok(u64::try_from(rows).unwrap_or(0))
        };
        ctx.within(limit, &format!("counting the rows of {table}"), counting)
            .await
    }
}

#[cfg(test)]
mod tests;
