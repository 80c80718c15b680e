//! From a recorded intent to a call of a trait.

use super::backends::Backends;
use super::records::{Intent, Outcome};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, Verdict};
use crate::plan::{Plan, StepKind};
use crate::traits::{BackupMode, ProvenBackup, SchemaApplied, SchemaApplier};

/// Does what `intent` says. Every act is safe to repeat with the same intent.
pub(super) async fn act(
    backends: &Backends,
    ctx: &Ctx,
    plan: &Plan,
    kind: &StepKind,
    intent: &Intent,
) -> Result<Outcome> {
    match intent {
        Intent::Stop { workload, before } => {
            backends.workload(workload)?.stop(ctx, before).await?;
            Ok(Outcome::Done)
        }
        Intent::Start { workload, before } => {
            backends.workload(workload)?.start(ctx, before).await?;
            Ok(Outcome::Done)
        }
        Intent::Backup { id, mode } => {
            let summary = backends.backup.take(ctx, &plan.target, id, *mode).await?;
            Ok(Outcome::Backup { summary })
        }
        Intent::CheckBackup { id } => check_backup(backends, ctx, plan, id).await,
        Intent::Retire { request } => {
            let retired = backends.teardown.retire(ctx, request).await?;
            Ok(Outcome::Retired { retired })
        }
        Intent::Provision { request } => {
            let db = backends.provision.provision(ctx, request).await?;
            Ok(Outcome::Made { db })
        }
        Intent::Settle { db, like, .. } => {
            backends.provision.settle(ctx, db, Some(like)).await?;
            Ok(Outcome::Done)
        }
        Intent::Fill { db, backup } => fill(backends, ctx, plan, kind, db, backup).await,
        Intent::Verify { request } => {
            let verdict = backends.verifier.verify(ctx, request).await?;
            require_passed(&verdict, &request.db)?;
            Ok(Outcome::Verified { verdict })
        }
        Intent::Task { name, db } => {
            let task = match kind {
                StepKind::Infrastructure { .. } => backends.infrastructure(name)?,
                StepKind::Load { .. } => backends.load(name)?,
                _ => backends.task(name)?,
            };
            task.run(ctx, db).await?;
            Ok(Outcome::Done)
        }
    }
}

async fn check_backup(
    backends: &Backends,
    ctx: &Ctx,
    plan: &Plan,
    id: &BackupId,
) -> Result<Outcome> {
    let (summary, verdict) = backends.backup.check(ctx, id).await?;
    // What the plan asks for decides what is asked of the backup, and not what it says of itself.
    let planned = StepKind::Backup { mode: summary.mode };
    if summary.mode == BackupMode::Full || plan.steps.iter().all(|s| s.kind != planned) {
        let proof = ProvenBackup::accept(summary, &verdict, &plan.target)?;
        return Ok(Outcome::Backup {
            summary: proof.summary().clone(),
        });
    }
    if !verdict.passed() {
        return Err(Error::refused(format!(
            "backup {id} is damaged: {}",
            verdict.complaints().join("; ")
        )));
    }
    Ok(Outcome::Backup { summary })
}

async fn fill(
    backends: &Backends,
    ctx: &Ctx,
    plan: &Plan,
    kind: &StepKind,
    db: &Identity,
    backup: &BackupId,
) -> Result<Outcome> {
    let applier: &dyn SchemaApplier = match kind {
        StepKind::Restore => {
            let report = backends.restorer.restore(ctx, db, backup).await?;
            return Ok(Outcome::Restored { report });
        }
        StepKind::Finish => {
            backends.restorer.finish(ctx, db, backup).await?;
            return Ok(Outcome::Done);
        }
        StepKind::Preserve => {
            let preserver = backends.preserver.as_ref();
            let preserver = preserver.ok_or_else(|| gone("rows to preserve"))?;
            let report = preserver.put_back(ctx, &plan.target, db).await?;
            return Ok(Outcome::Preserved { report });
        }
        StepKind::Migrate => match &backends.migrator {
            Some(applier) => applier.as_ref(),
            None => return Err(gone("migrator to run after the rows")),
        },
        StepKind::Fixtures => match &backends.fixtures {
            Some(applier) => applier.as_ref(),
            None => return Err(gone("fixtures")),
        },
        _ => backends.schema.as_ref(),
    };
    let applied = applier.apply(ctx, db, backup).await?;
    if *kind == StepKind::Schema {
        require_planned(plan, &applied)?;
    }
    Ok(Outcome::Schema { applied })
}

fn gone(what: &str) -> Error {
    Error::refused(format!("the spec has no {what} any more"))
        .hint("put it back into the spec, then go on")
}

/// A migrator that comes to another version than it did for the plan has other migrations now, or
/// did not run them all.
fn require_planned(plan: &Plan, applied: &SchemaApplied) -> Result<()> {
    let Some((tool, planned)) = &plan.survey.new_migration else {
        return Ok(());
    };
    let found = match &applied.migration {
        Some((found, version)) if found == tool && version == planned => return Ok(()),
        Some((found, version)) => format!("{found} at {version}"),
        None => "without a migration tool's table".to_owned(),
    };
    Err(Error::new(
        ErrorKind::Mismatch,
        format!("the new database is {found}, and the plan has {tool} at {planned}"),
    )
    .hint("see what changed in the migrations since the plan was made, then run again"))
}

fn require_passed(verdict: &Verdict, db: &Identity) -> Result<()> {
    if verdict.passed() {
        return Ok(());
    }
    let complaints = verdict.complaints();
    let what = if complaints.is_empty() {
        "no check ran".to_owned()
    } else {
        complaints.join("; ")
    };
    Err(Error::new(
        ErrorKind::Mismatch,
        format!("{db} is not as it should be: {what}"),
    ))
}
