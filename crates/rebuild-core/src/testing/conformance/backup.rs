//! The suite of [`Backup`].

use async_trait::async_trait;

use super::claim::{claim, done, elsewhere, failed, refused, replaced, same};
use crate::event::Ctx;
use crate::model::{BackupId, Identity, Outcome, Verdict};
use crate::traits::{Backup, BackupMode, BackupSummary, DestroyPermit, ProvenBackup};

/// A target with rows, and an empty store.
#[async_trait]
pub trait BackupStage: Send + Sync {
    /// The implementation under test.
    fn backup(&self) -> &dyn Backup;

    /// The target. It has at least one table with at least one row.
    fn target(&self) -> &Identity;

    /// Something else of the same kind on the same server.
    async fn stranger(&self) -> Identity;

    /// The number of rows of all the target's tables.
    async fn rows(&self) -> u64;

    /// Adds a row to the target.
    async fn write(&self);

    /// Changes the stored rows of a finished backup, as a failing disk would.
    async fn damage(&self, id: &BackupId);
}

/// Holds an implementation of [`Backup`] to its contract.
///
/// `stage` is called for a fresh stage as often as the suite needs one.
///
/// # Panics
/// The contract is broken; the message names the rule.
pub async fn backup<S: BackupStage>(stage: impl AsyncFn() -> S) {
    taken_once_and_proven(&stage().await).await;
    the_wrong_target_is_not_taken(&stage().await).await;
    a_part_is_no_proof(&stage().await).await;
    damage_is_a_failed_check(&stage().await).await;
    removed_with_a_permit_alone(&stage().await).await;
}

async fn take<S: BackupStage>(stage: &S, ctx: &Ctx, mode: BackupMode) -> BackupSummary {
    let id = BackupId::generate();
    let summary = done(
        "take",
        stage.backup().take(ctx, stage.target(), &id, mode).await,
    );
    same("it has the id asked for", &summary.id, &id);
    same("it has the mode asked for", &summary.mode, &mode);
    same("it says what it is of", &summary.of, stage.target());
    summary
}

async fn listed<S: BackupStage>(stage: &S, ctx: &Ctx) -> Vec<BackupSummary> {
    done("list", stage.backup().list(ctx).await)
}

async fn taken_once_and_proven<S: BackupStage>(stage: &S) {
    let (ctx, backup, target) = (Ctx::quiet(), stage.backup(), stage.target());
    same(
        "an empty store has no backups",
        &listed(stage, &ctx).await,
        &Vec::new(),
    );
    let first = take(stage, &ctx, BackupMode::Full).await;
    same("it counts the rows", &first.rows, &stage.rows().await);
    claim("it has tables", first.tables > 0);

    stage.write().await;
    for _ in 0..2 {
        same(
            "take of a finished backup returns it as it is",
            &done(
                "take again",
                backup.take(&ctx, target, &first.id, BackupMode::Full).await,
            ),
            &first,
        );
        same(
            "it is listed once",
            &listed(stage, &ctx).await,
            &vec![first.clone()],
        );
        let (summary, verdict) = done("check", backup.check(&ctx, &first.id).await);
        same("check and take agree", &summary, &first);
        claim(
            &format!(
                "an undamaged backup passes its check: {:?}",
                verdict.complaints()
            ),
            verdict.passed(),
        );
        done(
            "the proof of a backup that passed",
            ProvenBackup::accept(summary, &verdict, target),
        );
    }

    let second = take(stage, &ctx, BackupMode::Full).await;
    same(
        "a later one has the later rows",
        &second.rows,
        &(first.rows + 1),
    );
    let list = listed(stage, &ctx).await;
    same("both are listed", &list.len(), &2);
    claim(
        "both are listed",
        list.contains(&first) && list.contains(&second),
    );
    claim(
        "the newest comes first",
        list[0].taken_at >= list[1].taken_at,
    );
    failed(
        "check of a backup that there is not",
        backup.check(&ctx, &BackupId::generate()).await,
    );
}

async fn the_wrong_target_is_not_taken<S: BackupStage>(stage: &S) {
    let (ctx, backup, target) = (Ctx::quiet(), stage.backup(), stage.target());
    for (what, wrong) in [
        (
            "one that was replaced",
            replaced(target, &stage.stranger().await),
        ),
        ("one on another server", elsewhere(target)),
    ] {
        let id = BackupId::generate();
        for _ in 0..2 {
            failed(
                &format!("take of {what}"),
                backup.take(&ctx, &wrong, &id, BackupMode::Full).await,
            );
            same(
                "a failed backup is not listed",
                &listed(stage, &ctx).await,
                &Vec::new(),
            );
            failed("check of a failed backup", backup.check(&ctx, &id).await);
        }
    }
}

async fn a_part_is_no_proof<S: BackupStage>(stage: &S) {
    let (ctx, backup, target) = (Ctx::quiet(), stage.backup(), stage.target());
    for mode in [BackupMode::SchemaOnly, BackupMode::CountsOnly] {
        let taken = take(stage, &ctx, mode).await;
        let (summary, verdict) = done("check", backup.check(&ctx, &taken.id).await);
        same("check and take agree", &summary, &taken);
        refused(
            "the proof of a backup without rows",
            ProvenBackup::accept(summary, &verdict, target).map(|proof| proof.id().clone()),
        );
    }
}

async fn damage_is_a_failed_check<S: BackupStage>(stage: &S) {
    let (ctx, backup, target) = (Ctx::quiet(), stage.backup(), stage.target());
    let sound = take(stage, &ctx, BackupMode::Full).await;
    let taken = take(stage, &ctx, BackupMode::Full).await;
    stage.damage(&taken.id).await;
    for _ in 0..2 {
        let (summary, verdict) = done(
            "check of a damaged backup",
            backup.check(&ctx, &taken.id).await,
        );
        claim("a damaged backup fails its check", failed_check(&verdict));
        refused(
            "the proof of a damaged backup",
            ProvenBackup::accept(summary, &verdict, target).map(|proof| proof.id().clone()),
        );
        let (_, verdict) = done("check", backup.check(&ctx, &sound.id).await);
        claim("another backup is not affected", verdict.passed());
    }
}

fn failed_check(verdict: &Verdict) -> bool {
    verdict
        .failures()
        .any(|check| matches!(check.outcome, Outcome::Failed(_)))
}

async fn removed_with_a_permit_alone<S: BackupStage>(stage: &S) {
    let (ctx, backup, target) = (Ctx::quiet(), stage.backup(), stage.target());
    let stranger = stage.stranger().await;
    let kept = take(stage, &ctx, BackupMode::Full).await;
    let taken = take(stage, &ctx, BackupMode::Full).await;
    refused(
        "remove with a permit for something else",
        backup.remove(&ctx, &taken.id, permit(&stranger)).await,
    );
    same("it is still there", &listed(stage, &ctx).await.len(), &2);
    for _ in 0..2 {
        done(
            "remove with the permit for what it is of",
            backup.remove(&ctx, &taken.id, permit(target)).await,
        );
        same(
            "it is gone",
            &listed(stage, &ctx).await,
            &vec![kept.clone()],
        );
        failed(
            "check of a removed backup",
            backup.check(&ctx, &taken.id).await,
        );
    }
    let (_, verdict) = done("check", backup.check(&ctx, &kept.id).await);
    claim("another backup is not affected", verdict.passed());
}

fn permit(db: &Identity) -> DestroyPermit {
    DestroyPermit::by_name(db, &db.name).expect("its name is its name")
}
