//! The suite of [`Teardown`].

use async_trait::async_trait;

use super::claim::{claim, done, elsewhere, failed, refused, replaced, same};
use super::scene::NamesScene;
use crate::model::{BackupId, Identity};
use crate::traits::{DestroyPermit, RetireRequest, Retired, Teardown};

/// A target in service, and usually what is to take its place.
#[async_trait]
pub trait TeardownStage: NamesScene {
    /// The implementation under test, ready to act on [`target`](Self::target).
    fn teardown(&self) -> &dyn Teardown;

    /// The target, in service under its name.
    fn target(&self) -> &Identity;

    /// What the run has staged to take the target's place, with the same rows; `None` where two
    /// cannot stand side by side.
    fn successor(&self) -> Option<&Identity>;

    /// Takes a backup of the target as it is now.
    async fn back_up(&self) -> BackupId;

    /// Adds a row to what is in service under the target's name.
    async fn write(&self);
}

/// Holds an implementation of [`Teardown`] to its contract. The names it uses are
/// `conformance_old` and `conformance_taken`, which must be free.
///
/// `stage` is called for a fresh stage as often as the suite needs one.
///
/// # Panics
/// The contract is broken; the message names the rule.
pub async fn teardown<S: TeardownStage>(stage: impl AsyncFn() -> S) {
    retired_and_reinstated(&stage().await, None).await;
    the_wrong_target_is_left_alone(&stage().await).await;
    a_taken_name_is_left_alone(&stage().await).await;
    writes_since_the_backup_stop_it(&stage().await).await;
    purged_with_a_permit_alone(&stage().await).await;
    what_is_in_service_is_not_purged(&stage().await).await;
    {
        let stage = stage().await;
        let Some(successor) = stage.successor().cloned() else {
            return;
        };
        retired_and_reinstated(&stage, Some(successor)).await;
    }
    a_missing_successor_stops_it(&stage().await).await;
    writes_to_the_successor_are_seen(&stage().await).await;
}

const OLD: &str = "conformance_old";
const TAKEN: &str = "conformance_taken";

fn request<S: TeardownStage>(stage: &S, successor: Option<Identity>) -> RetireRequest {
    RetireRequest {
        target: stage.target().clone(),
        retired_name: OLD.to_owned(),
        successor,
        successor_marks: serde_json::Value::Null,
        unchanged_since: None,
    }
}

/// What carries `name` must be `expected`.
async fn carries<S: TeardownStage>(stage: &S, name: &str, expected: Option<&Identity>) {
    let found = done("look", stage.teardown().look(stage.ctx(), name).await);
    let agree = match (&found, expected) {
        (Some(found), Some(expected)) => found.is_same_thing(expected) && found.name == name,
        (None, None) => true,
        _ => false,
    };
    claim(
        &format!("{name:?} must be carried by {expected:?}, but look finds {found:?}"),
        agree,
    );
}

/// The world is as it was before anything was done.
async fn untouched<S: TeardownStage>(stage: &S) {
    let target = stage.target();
    carries(stage, &target.name, Some(target)).await;
    carries(stage, OLD, None).await;
    if let Some(successor) = stage.successor() {
        carries(stage, &successor.name, Some(successor)).await;
    }
}

async fn retired_and_reinstated<S: TeardownStage>(stage: &S, successor: Option<Identity>) {
    let (ctx, teardown, target) = (stage.ctx(), stage.teardown(), stage.target());
    untouched(stage).await;
    let request = request(stage, successor.clone());
    let retired = recorded(&done("retire", teardown.retire(ctx, &request).await));
    same("the old one is the target", &retired.old, target);
    same(
        "it has the name asked for",
        &retired.retired_name.as_str(),
        &OLD,
    );
    same("the successor is named", &retired.successor, &successor);
    for _ in 0..2 {
        carries(stage, OLD, Some(target)).await;
        carries(stage, &target.name, successor.as_ref()).await;
        if let Some(successor) = &successor {
            carries(stage, &successor.name, None).await;
        }
        let again = done("retire again", teardown.retire(ctx, &request).await);
        same(
            "the second call names the same old one",
            &again.old,
            &retired.old,
        );
        same(
            "the second call names the same name",
            &again.retired_name,
            &retired.retired_name,
        );
        same(
            "the second call names the same successor",
            &again.successor,
            &retired.successor,
        );
    }
    for _ in 0..2 {
        done("reinstate", teardown.reinstate(ctx, &retired).await);
        untouched(stage).await;
        claim("the old one was kept", stage.exists(target).await);
        if let Some(successor) = &successor {
            claim("the successor was kept", stage.exists(successor).await);
        }
    }
}

async fn the_wrong_target_is_left_alone<S: TeardownStage>(stage: &S) {
    let (ctx, teardown, target) = (stage.ctx(), stage.teardown(), stage.target());
    let stranger = stage.occupy(TAKEN).await;
    let renamed = Identity {
        name: "conformance_renamed".to_owned(),
        ..target.clone()
    };
    for (what, wrong) in [
        ("one that was replaced", replaced(target, &stranger)),
        ("one on another server", elsewhere(target)),
        ("one that was renamed", renamed),
    ] {
        let request = RetireRequest {
            target: wrong,
            ..request(stage, stage.successor().cloned())
        };
        refused(
            &format!("retire of {what}"),
            teardown.retire(ctx, &request).await,
        );
        untouched(stage).await;
        carries(stage, TAKEN, Some(&stranger)).await;
    }
}

async fn a_taken_name_is_left_alone<S: TeardownStage>(stage: &S) {
    let (ctx, teardown) = (stage.ctx(), stage.teardown());
    let stranger = stage.occupy(TAKEN).await;
    let request = RetireRequest {
        retired_name: TAKEN.to_owned(),
        ..request(stage, stage.successor().cloned())
    };
    refused(
        "retire to a name that something else has",
        teardown.retire(ctx, &request).await,
    );
    untouched(stage).await;
    carries(stage, TAKEN, Some(&stranger)).await;
}

async fn writes_since_the_backup_stop_it<S: TeardownStage>(stage: &S) {
    let (ctx, teardown, target) = (stage.ctx(), stage.teardown(), stage.target());
    let request = RetireRequest {
        unchanged_since: Some(stage.back_up().await),
        ..request(stage, stage.successor().cloned())
    };
    stage.write().await;
    refused(
        "retire of a target written to since the backup",
        teardown.retire(ctx, &request).await,
    );
    untouched(stage).await;
    let request = RetireRequest {
        unchanged_since: Some(stage.back_up().await),
        ..request
    };
    done(
        "retire of a target unchanged since the backup",
        teardown.retire(ctx, &request).await,
    );
    carries(stage, OLD, Some(target)).await;
}

async fn purged_with_a_permit_alone<S: TeardownStage>(stage: &S) {
    let (ctx, teardown, target) = (stage.ctx(), stage.teardown(), stage.target());
    let stranger = stage.occupy(TAKEN).await;
    let request = request(stage, stage.successor().cloned());
    let retired = recorded(&done("retire", teardown.retire(ctx, &request).await));
    refused(
        "purge with a permit for something else",
        teardown.purge(ctx, &retired, permit(&stranger)).await,
    );
    let wrong = Retired {
        old: elsewhere(target),
        ..retired.clone()
    };
    refused(
        "purge of one on another server",
        teardown.purge(ctx, &wrong, permit(&wrong.old)).await,
    );
    claim("it is still there", stage.exists(target).await);
    for _ in 0..2 {
        done(
            "purge with its permit",
            teardown.purge(ctx, &retired, permit(target)).await,
        );
        claim("it is gone", !stage.exists(target).await);
        carries(stage, OLD, None).await;
        carries(stage, TAKEN, Some(&stranger)).await;
        carries(stage, &target.name, stage.successor()).await;
    }
    failed(
        "reinstate of what was purged",
        teardown.reinstate(ctx, &retired).await,
    );
    carries(stage, &target.name, stage.successor()).await;
}

async fn what_is_in_service_is_not_purged<S: TeardownStage>(stage: &S) {
    let (ctx, teardown, target) = (stage.ctx(), stage.teardown(), stage.target());
    let request = request(stage, stage.successor().cloned());
    let retired = done("retire", teardown.retire(ctx, &request).await);
    done("reinstate", teardown.reinstate(ctx, &retired).await);
    for _ in 0..2 {
        refused(
            "purge of what is back in service",
            teardown.purge(ctx, &retired, permit(target)).await,
        );
        untouched(stage).await;
    }
}

/// All or nothing: without its successor the target stays.
async fn a_missing_successor_stops_it<S: TeardownStage>(stage: &S) {
    let (ctx, teardown, target) = (stage.ctx(), stage.teardown(), stage.target());
    let Some(successor) = stage.successor() else {
        return;
    };
    let stranger = stage.occupy(TAKEN).await;
    for (what, wrong) in [
        ("that was replaced", replaced(successor, &stranger)),
        ("on another server", elsewhere(successor)),
    ] {
        refused(
            &format!("retire for a successor {what}"),
            teardown.retire(ctx, &request(stage, Some(wrong))).await,
        );
        carries(stage, &target.name, Some(target)).await;
        untouched(stage).await;
    }
}

async fn writes_to_the_successor_are_seen<S: TeardownStage>(stage: &S) {
    let (ctx, teardown) = (stage.ctx(), stage.teardown());
    let mut request = request(stage, stage.successor().cloned());
    if let Some(successor) = stage.successor() {
        request.successor_marks = done("marks", teardown.marks(ctx, successor).await);
    }
    let mut retired = recorded(&done("retire", teardown.retire(ctx, &request).await));
    for attempt in ["first", "second"] {
        same(
            &format!("the marks after the {attempt} retire"),
            &retired.successor_marks,
            &request.successor_marks,
        );
        retired = recorded(&done("retire", teardown.retire(ctx, &request).await));
    }
    for _ in 0..2 {
        same(
            "nothing was written to the successor",
            &done("written_since", teardown.written_since(ctx, &retired).await),
            &Vec::new(),
        );
    }
    stage.write().await;
    for _ in 0..2 {
        let written = done("written_since", teardown.written_since(ctx, &retired).await);
        claim(
            "a row written to the successor is seen",
            !written.is_empty(),
        );
    }
}

fn permit(db: &Identity) -> DestroyPermit {
    DestroyPermit::by_name(db, &db.name).expect("its name is its name")
}

/// The value as the journal gives it back to a later process.
fn recorded(retired: &Retired) -> Retired {
    let text = serde_json::to_string(retired).expect("plain values are JSON");
    let back = serde_json::from_str(&text).expect("what was written can be read");
    same("it is the same after the journal", &back, retired);
    back
}
