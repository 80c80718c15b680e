//! Commands that are told how a run ended.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Invocation, run_ok};
use crate::error::Result;
use crate::event::Ctx;

/// Runs a hook in `folder`, with `endings` (REBUILD_RUN, REBUILD_ENDING, REBUILD_TARGET,
/// REBUILD_ERROR) in its environment. It runs after the operator has stopped the run, too: it
/// tells of just that.
///
/// *Repeats:* tells again. *Destroys:* nothing of ours.
///
/// # Errors
/// It could not be started, did not end within `limit`, or failed. That changes nothing about
/// the run.
pub async fn run_hook(
    ctx: &Ctx,
    program: &[String],
    folder: &Path,
    limit: Duration,
    endings: &[(String, String)],
) -> Result<()> {
    let invocation = Invocation {
        name: "hook".to_owned(),
        argv: program.to_vec(),
        env: endings.to_vec(),
        secret_env: Vec::new(),
        cwd: folder.to_owned(),
        limit,
    };
    let ctx = Ctx {
        stop: CancellationToken::new(),
        ..ctx.clone()
    };
    run_ok(&ctx, &invocation).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hook_is_told_how_a_stopped_run_ended() {
        let dir = tempfile::tempdir().expect("folder");
        let program = ["/bin/sh", "-c", "echo $REBUILD_ENDING > told"].map(ToOwned::to_owned);
        let endings = [("REBUILD_ENDING".to_owned(), "halted".to_owned())];
        let ctx = Ctx::quiet();
        ctx.stop.cancel();
        run_hook(
            &ctx,
            &program,
            dir.path(),
            Duration::from_secs(20),
            &endings,
        )
        .await
        .expect("told");
        let told = std::fs::read_to_string(dir.path().join("told")).expect("a file");
        assert_eq!(told, "halted\n");
    }
}
