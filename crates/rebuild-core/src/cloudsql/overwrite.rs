//! The service's own restore of a backup over an instance.

use std::time::Duration;

use google_cloud_sql_v1::model::operation::SqlOperationType;
use google_cloud_sql_v1::model::{InstancesRestoreBackupRequest, Operation, RestoreBackupContext};

use super::operation::is_done;
use super::{CloudSql, InstanceCopy};
use crate::error::{Error, ErrorKind, Result, clean};
use crate::event::Ctx;
use crate::google::Seen;

/// True for a restore of `from` that was begun, and has not failed, since `known` were there.
pub(super) fn is_begun(operation: &Operation, known: &[String], from: &InstanceCopy) -> bool {
    operation.operation_type == SqlOperationType::RestoreVolume
        && operation.error.is_none()
        && !known.contains(&operation.name)
        && may_be_of(operation, from)
}

/// False if the operation says that it restores something else: somebody may restore another copy.
fn may_be_of(operation: &Operation, from: &InstanceCopy) -> bool {
    let last = |name: &str| name.rsplit('/').next().map(str::to_owned);
    match (&operation.backup_context, from) {
        (Some(of), InstanceCopy::Run { id, .. }) if of.backup_id != 0 => of.backup_id == *id,
        (Some(of), InstanceCopy::Kept(name)) if !of.name.is_empty() => last(&of.name) == last(name),
        _ => true,
    }
}

impl CloudSql {
    /// Restores a copy over the instance, and waits until it can be used. `known` are the operations that
    /// were there before this was first asked for: a restore that is not among them is this one, begun
    /// by another process.
    ///
    /// *Destroys:* every database of the instance.
    ///
    /// # Errors
    /// It failed, with the API's words; it did not end within `limit`; the API refused.
    pub(super) async fn overwrite(
        &self,
        ctx: &Ctx,
        from: &InstanceCopy,
        known: &[String],
        limit: Duration,
    ) -> Result<()> {
        let name = self.name();
        let what = format!("the restore of {} over instance {name}", from.describe());
        let request = self.request(from);
        let begin = || async {
            let operations = self.newest_operations().await?;
            if let Some(begun) = operations.into_iter().find(|o| is_begun(o, known, from)) {
                return Ok(begun);
            }
            let restore = self.instances.restore_backup();
            let restore = restore
                .set_project(&name.project)
                .set_instance(&name.instance);
            restore.set_body(request.clone()).send().await
        };
        let failed = format!("could not begin {what}");
        let operation = self.when_free(ctx, &failed, limit, begin).await?;
        if is_done(&operation) {
            ctx.events.info(format!(
                "operation {} of an earlier attempt has restored it; the command restores it anew when \
                 it is given again",
                operation.name
            ));
        }
        self.wait_for(ctx, &what, &operation.name, limit).await?;
        self.wait_until_runnable(ctx, limit).await
    }

    fn request(&self, from: &InstanceCopy) -> InstancesRestoreBackupRequest {
        let request = InstancesRestoreBackupRequest::new();
        match from {
            InstanceCopy::Kept(name) => request.set_backup(name),
            InstanceCopy::Run { instance, id } => {
                let own = self.name();
                request.set_restore_backup_context(
                    RestoreBackupContext::new()
                        .set_backup_run_id(*id)
                        .set_instance_id(instance.as_ref().unwrap_or(&own.instance))
                        .set_project(&own.project),
                )
            }
        }
    }

    /// Waits until the instance can be used.
    ///
    /// # Errors
    /// It has failed for good; that took longer than `limit`; there is none.
    pub(super) async fn wait_until_runnable(&self, ctx: &Ctx, limit: Duration) -> Result<()> {
        let what = format!("instance {}", self.name());
        let look = || async {
            let now = self.describe(ctx).await?;
            let state = now.state.name().unwrap_or("in an unknown state");
            Ok(match state {
                "RUNNABLE" => Seen::Done(()),
                "FAILED" => {
                    let message = format!("instance {} has failed", self.name());
                    return Err(Error::new(ErrorKind::Server, message));
                }
                other => Seen::NotYet(clean(other).to_lowercase()),
            })
        };
        self.google().wait(ctx, &what, limit, look).await
    }

    /// Waits until a server answers `ask`, whose refusals end the wait.
    pub(super) async fn await_answer<T, F>(
        &self,
        ctx: &Ctx,
        what: &str,
        limit: Duration,
        ask: impl Fn() -> F,
    ) -> Result<()>
    where
        F: Future<Output = Result<T>>,
    {
        let look = || async { Seen::of_answer(ask().await) };
        self.google().wait(ctx, what, limit, look).await
    }
}

#[cfg(test)]
mod tests {
    use google_cloud_sql_v1::model::BackupContext;

    use super::*;

    #[test]
    fn somebody_elses_restore_is_not_this_one() {
        let restore = |context: Option<BackupContext>| {
            let operation = Operation::new()
                .set_name("new")
                .set_operation_type(SqlOperationType::RestoreVolume);
            operation.set_or_clear_backup_context(context)
        };
        let run = |id| InstanceCopy::Run { instance: None, id };
        let kept = |name: &str| InstanceCopy::Kept(format!("projects/shop/backups/{name}"));
        let of_7 = restore(Some(BackupContext::new().set_backup_id(7)));
        let of_a = restore(Some(
            BackupContext::new().set_name("projects/12345/backups/a"),
        ));
        for (operation, from, is_this) in [
            (&of_7, run(7), true),
            (&of_7, run(8), false),
            (&of_a, kept("a"), true),
            (&of_a, kept("b"), false),
            // Nothing says of what it is.
            (&restore(None), run(7), true),
            (&of_a, run(7), true),
        ] {
            assert_eq!(is_begun(operation, &[], &from), is_this, "{from:?}");
            assert!(!is_begun(operation, &["new".to_owned()], &from));
        }
    }
}
