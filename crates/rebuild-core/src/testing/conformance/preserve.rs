//! The suite of [`Preserver`].

use async_trait::async_trait;

use super::claim::{claim, done, elsewhere, failed, replaced, same};
use super::scene::DatabaseScene;
use crate::model::Identity;
use crate::traits::Preserver;

/// A database with rows of its own, and an old one some of whose rows go into it.
#[async_trait]
pub trait PreserveStage: DatabaseScene {
    /// The implementation under test.
    fn preserver(&self) -> &dyn Preserver;

    /// The old database.
    fn old(&self) -> &Identity;

    /// The rows of a database, in any text that is another one when they are others.
    async fn rows(&self, db: &Identity) -> String;

    /// What [`rows`](Self::rows) says of the new database once the old rows are in it.
    fn expected(&self) -> String;
}

/// Holds an implementation of [`Preserver`] to its contract.
///
/// `stage` is called for a fresh stage as often as the suite needs one.
///
/// # Panics
/// The contract is broken; the message names the rule.
pub async fn preserve<S: PreserveStage>(stage: impl AsyncFn() -> S) {
    put_back_twice_is_put_back_once(&stage().await).await;
    wrong_databases_are_left_alone(&stage().await).await;
}

async fn put_back_twice_is_put_back_once<S: PreserveStage>(stage: &S) {
    let (ctx, preserver) = (stage.ctx(), stage.preserver());
    let (old, db) = (stage.old(), stage.db());
    let before = stage.rows(old).await;
    claim(
        "the stage has rows to put back",
        stage.rows(db).await != stage.expected(),
    );
    for again in [false, true] {
        let report = done("put_back", preserver.put_back(ctx, old, db).await);
        same(
            "the rows are those of both",
            &stage.rows(db).await,
            &stage.expected(),
        );
        same(
            "the old database is not changed",
            &stage.rows(old).await,
            &before,
        );
        claim("the report names a table", !report.tables.is_empty());
        for table in &report.tables {
            let left_out: u64 = table.left_out.iter().map(|l| l.rows).sum();
            let told = table.inserted + table.replaced + table.unchanged + left_out;
            same("every selected row is told of", &told, &table.selected);
            if again {
                let changed = table.inserted + table.replaced;
                same("the second call changes nothing", &changed, &0);
            }
        }
    }
}

async fn wrong_databases_are_left_alone<S: PreserveStage>(stage: &S) {
    let (ctx, preserver) = (stage.ctx(), stage.preserver());
    let (old, db) = (stage.old(), stage.db());
    let (before, stranger) = (stage.rows(db).await, stage.stranger().await);
    for (what, wrong) in [
        ("one that was replaced", replaced(db, &stranger)),
        ("one on another server", elsewhere(db)),
    ] {
        let put = preserver.put_back(ctx, old, &wrong).await;
        failed(&format!("put_back into {what}"), put);
    }
    for (what, wrong) in [
        ("one that was replaced", replaced(old, &stranger)),
        ("one on another server", elsewhere(old)),
    ] {
        let put = preserver.put_back(ctx, &wrong, db).await;
        failed(&format!("put_back of the rows of {what}"), put);
    }
    same("nothing was put back", &stage.rows(db).await, &before);
}
