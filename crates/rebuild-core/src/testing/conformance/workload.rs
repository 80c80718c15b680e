//! The suite of [`Workload`].

use async_trait::async_trait;

use super::claim::{claim, done, same};
use crate::event::Ctx;
use crate::traits::{Workload, WorkloadState};

/// A workload that runs, and a way to see whether it can write.
#[async_trait]
pub trait WorkloadStage: Send + Sync {
    /// The workload under test. It runs when the suite begins.
    fn workload(&self) -> &dyn Workload;

    /// True if a write that the workload tries now goes through.
    async fn writes(&self) -> bool;
}

/// Holds an implementation of [`Workload`] to its contract.
///
/// `stage` is called for a fresh stage as often as the suite needs one.
///
/// # Panics
/// The contract is broken; the message names the rule.
pub async fn workload<S: WorkloadStage>(stage: impl AsyncFn() -> S) {
    stops_and_comes_back(&stage().await).await;
    what_was_stopped_stays_stopped(&stage().await).await;
}

async fn stops_and_comes_back<S: WorkloadStage>(stage: &S) {
    let (ctx, workload) = (Ctx::quiet(), stage.workload());
    let name = workload.name();
    claim("a workload has a name", !name.is_empty());
    let before = recorded(&done("look", workload.look(&ctx).await));
    same(
        "look twice gives the same answer",
        &done("look", workload.look(&ctx).await),
        &before,
    );
    claim("look sees that it runs", before.running);
    claim("look stops nothing", stage.writes().await);

    done("start of what runs", workload.start(&ctx, &before).await);
    same(
        "start of what runs changes nothing",
        &done("look", workload.look(&ctx).await),
        &before,
    );

    // Twice round: a resumed run stops again what an earlier one had started again.
    for _ in 0..2 {
        for _ in 0..2 {
            done("stop", workload.stop(&ctx, &before).await);
            claim(
                "look sees that it is stopped",
                !done("look", workload.look(&ctx).await).running,
            );
            claim(
                "nothing is written once stop has returned",
                !stage.writes().await,
            );
        }
        for _ in 0..2 {
            done("start", workload.start(&ctx, &before).await);
            same(
                "start brings back what look saw before the stop",
                &done("look", workload.look(&ctx).await),
                &before,
            );
            claim(
                "it writes again once start has returned",
                stage.writes().await,
            );
        }
    }
    same("the name stays", &workload.name(), &name);
}

/// What did not run before the run must not run after it.
async fn what_was_stopped_stays_stopped<S: WorkloadStage>(stage: &S) {
    let (ctx, workload) = (Ctx::quiet(), stage.workload());
    let running = done("look", workload.look(&ctx).await);
    done("stop", workload.stop(&ctx, &running).await);
    let stopped = recorded(&done("look", workload.look(&ctx).await));
    for _ in 0..2 {
        done(
            "stop of what is stopped",
            workload.stop(&ctx, &stopped).await,
        );
        done(
            "start of what was stopped before",
            workload.start(&ctx, &stopped).await,
        );
        same(
            "start brings what was stopped back to being stopped",
            &done("look", workload.look(&ctx).await),
            &stopped,
        );
        claim(
            "what was stopped before does not write",
            !stage.writes().await,
        );
    }
    done("start", workload.start(&ctx, &running).await);
}

/// The state as the journal gives it back to a later process.
fn recorded(state: &WorkloadState) -> WorkloadState {
    let text = serde_json::to_string(state).expect("a state of plain values is JSON");
    let back = serde_json::from_str(&text).expect("what was written can be read");
    same("a state is the same after the journal", &back, state);
    back
}
