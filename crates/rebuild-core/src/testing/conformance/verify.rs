//! The suite of [`Verifier`].

use async_trait::async_trait;

use super::claim::{claim, done, elsewhere, failed, replaced, same};
use super::scene::DatabaseScene;
use crate::model::{BackupId, Outcome, Verdict};
use crate::traits::{Verifier, VerifyRequest};

/// A database that is as it should be, restored from the backup.
#[async_trait]
pub trait VerifyStage: DatabaseScene {
    /// The implementation under test.
    fn verifier(&self) -> &dyn Verifier;

    /// The database's rows and schema, in any text that is another one when they are others.
    async fn content(&self) -> String;

    /// Makes the database wrong, in a way that the verifier is there to find.
    async fn spoil(&self);
}

/// Holds an implementation of [`Verifier`] to its contract.
///
/// `stage` is called for a fresh stage as often as the suite needs one.
///
/// # Panics
/// The contract is broken; the message names the rule.
pub async fn verify<S: VerifyStage>(stage: impl AsyncFn() -> S) {
    right_passes_and_wrong_does_not(&stage().await).await;
    the_wrong_database_is_no_answer(&stage().await).await;
}

fn request<S: VerifyStage>(stage: &S) -> VerifyRequest {
    VerifyRequest {
        db: stage.db().clone(),
        backup: Some(stage.backup().clone()),
        live: false,
    }
}

fn outcomes(verdict: &Verdict) -> Vec<(String, Outcome)> {
    let each = |check: &crate::model::Check| (check.name.clone(), check.outcome.clone());
    verdict.checks.iter().map(each).collect()
}

async fn right_passes_and_wrong_does_not<S: VerifyStage>(stage: &S) {
    let (ctx, verifier, request) = (stage.ctx(), stage.verifier(), request(stage));
    let content = stage.content().await;
    let first = done("verify", verifier.verify(ctx, &request).await);
    claim("something is checked", !first.checks.is_empty());
    claim(
        &format!("what is right passes: {:?}", first.complaints()),
        first.passed(),
    );
    claim(
        "every check says how much it looked at",
        first.checks.iter().all(|check| !check.looked_at.is_empty()),
    );
    let again = done("verify again", verifier.verify(ctx, &request).await);
    same(
        "the second answer is the first",
        &outcomes(&again),
        &outcomes(&first),
    );
    same("verify writes nothing", &stage.content().await, &content);

    stage.spoil().await;
    let spoilt = stage.content().await;
    for _ in 0..2 {
        let verdict = done(
            "verify of a wrong database (a difference is no error)",
            verifier.verify(ctx, &request).await,
        );
        claim("what is wrong does not pass", !verdict.passed());
        let complaints = verdict.complaints();
        claim("it says what is wrong", !complaints.is_empty());
        same("verify mends nothing", &stage.content().await, &spoilt);
    }
}

async fn the_wrong_database_is_no_answer<S: VerifyStage>(stage: &S) {
    let (ctx, verifier) = (stage.ctx(), stage.verifier());
    for (what, wrong) in [
        (
            "one that was replaced",
            replaced(stage.db(), &stage.stranger().await),
        ),
        ("one on another server", elsewhere(stage.db())),
    ] {
        let request = VerifyRequest {
            db: wrong,
            ..request(stage)
        };
        failed(
            &format!("verify of {what}"),
            verifier.verify(ctx, &request).await,
        );
    }
    let request = VerifyRequest {
        backup: Some(BackupId::generate()),
        ..request(stage)
    };
    failed(
        "verify against a backup that there is not",
        verifier.verify(ctx, &request).await,
    );
}
