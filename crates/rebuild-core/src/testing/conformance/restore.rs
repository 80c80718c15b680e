//! The suite of [`Restorer`].

use async_trait::async_trait;

use super::claim::{claim, done, elsewhere, failed, replaced, same};
use super::scene::DatabaseScene;
use crate::model::BackupId;
use crate::traits::Restorer;

/// A database that has its schema and no rows, and a backup all of whose rows have a place in it.
#[async_trait]
pub trait RestoreStage: DatabaseScene {
    /// The implementation under test.
    fn restorer(&self) -> &dyn Restorer;

    /// The database's rows, in any text that is another one when they are others.
    async fn content(&self) -> String;

    /// What [`content`](Self::content) says of the database that was backed up.
    fn expected(&self) -> String;

    /// Leaves rows in the database as a restore that was killed does.
    async fn half_restore(&self);
}

/// Holds an implementation of [`Restorer`] to its contract.
///
/// `stage` is called for a fresh stage as often as the suite needs one.
///
/// # Panics
/// The contract is broken; the message names the rule.
pub async fn restore<S: RestoreStage>(stage: impl AsyncFn() -> S) {
    restored_twice_is_restored_once(&stage().await).await;
    a_broken_restore_is_done_over(&stage().await).await;
    the_wrong_database_is_left_alone(&stage().await).await;
}

async fn restored_twice_is_restored_once<S: RestoreStage>(stage: &S) {
    let (ctx, restorer, db) = (stage.ctx(), stage.restorer(), stage.db());
    let (backup, empty) = (stage.backup(), stage.content().await);
    claim("the stage has rows to restore", empty != stage.expected());
    let outline = done("outline", restorer.outline(ctx, db, backup).await);
    same(
        "outline twice gives the same answer",
        &done("outline", restorer.outline(ctx, db, backup).await),
        &outline,
    );
    same("outline changes nothing", &stage.content().await, &empty);
    same("all the rows have a place", &outline.unplaced, &Vec::new());
    let first = done("restore", restorer.restore(ctx, db, backup).await);
    same(
        "the rows are those of the backup",
        &stage.content().await,
        &stage.expected(),
    );
    same("nothing was left out", &first.left_out, &Vec::new());
    same(
        "outline and restore agree on the tables",
        &outline.tables.len(),
        &usize::try_from(first.tables).expect("a count of tables"),
    );
    for _ in 0..2 {
        let again = done("restore again", restorer.restore(ctx, db, backup).await);
        same("the second call reports the same", &again, &first);
        same(
            "the second call adds nothing",
            &stage.content().await,
            &stage.expected(),
        );
    }
}

async fn a_broken_restore_is_done_over<S: RestoreStage>(stage: &S) {
    let (ctx, restorer, db) = (stage.ctx(), stage.restorer(), stage.db());
    stage.half_restore().await;
    claim(
        "the stage's half restore is no whole one",
        stage.content().await != stage.expected(),
    );
    done("restore", restorer.restore(ctx, db, stage.backup()).await);
    same(
        "what a broken call left is replaced",
        &stage.content().await,
        &stage.expected(),
    );
}

async fn the_wrong_database_is_left_alone<S: RestoreStage>(stage: &S) {
    let (ctx, restorer, db) = (stage.ctx(), stage.restorer(), stage.db());
    let (backup, empty) = (stage.backup(), stage.content().await);
    for (what, wrong) in [
        (
            "one that was replaced",
            replaced(db, &stage.stranger().await),
        ),
        ("one on another server", elsewhere(db)),
    ] {
        failed(
            &format!("outline for {what}"),
            restorer.outline(ctx, &wrong, backup).await,
        );
        failed(
            &format!("restore into {what}"),
            restorer.restore(ctx, &wrong, backup).await,
        );
    }
    let unknown = BackupId::generate();
    failed(
        "outline of a backup that there is not",
        restorer.outline(ctx, db, &unknown).await,
    );
    failed(
        "restore of a backup that there is not",
        restorer.restore(ctx, db, &unknown).await,
    );
    same("nothing was restored", &stage.content().await, &empty);
}
