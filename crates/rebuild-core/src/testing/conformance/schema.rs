//! The suite of [`SchemaApplier`].

use async_trait::async_trait;

use super::claim::{claim, done, elsewhere, failed, replaced, same};
use super::scene::DatabaseScene;
use crate::traits::SchemaApplier;

/// An empty database and a schema for it.
#[async_trait]
pub trait SchemaStage: DatabaseScene {
    /// The implementation under test.
    fn schema(&self) -> &dyn SchemaApplier;

    /// Any text that is another one when the schema of the database is another one.
    async fn shape(&self) -> String;
}

/// Holds an implementation of [`SchemaApplier`] to its contract.
///
/// `stage` is called for a fresh stage as often as the suite needs one.
///
/// # Panics
/// The contract is broken; the message names the rule.
pub async fn schema<S: SchemaStage>(stage: impl AsyncFn() -> S) {
    applied_once(&stage().await).await;
    the_wrong_database_is_left_alone(&stage().await).await;
}

async fn applied_once<S: SchemaStage>(stage: &S) {
    let (ctx, schema, db) = (stage.ctx(), stage.schema(), stage.db());
    let (backup, empty) = (stage.backup(), stage.shape().await);
    let before = done("look", schema.look(ctx, db).await);
    same(
        "look twice gives the same answer",
        &done("look", schema.look(ctx, db).await),
        &before,
    );
    same("look changes nothing", &stage.shape().await, &empty);
    same(
        "nothing is applied to an empty database",
        &before.applied,
        &Vec::new(),
    );

    let first = done("apply", schema.apply(ctx, db, backup).await);
    let shape = stage.shape().await;
    claim("apply gives the database a schema", shape != empty);
    let paths: Vec<_> = first.applied.iter().map(|file| file.path.clone()).collect();
    same(
        "what was pending was applied, in order",
        &paths,
        &before.pending,
    );
    for _ in 0..2 {
        let after = done("look", schema.look(ctx, db).await);
        same("look sees what was applied", &after.applied, &first.applied);
        same(
            "nothing is pending after apply",
            &after.pending,
            &Vec::new(),
        );
        same(
            "nothing is changed after apply",
            &after.changed,
            &Vec::new(),
        );
        same(
            "look and apply see one migration version",
            &after.migration,
            &first.migration,
        );

        let again = done("apply again", schema.apply(ctx, db, backup).await);
        same(
            "the second call applies no file",
            &again.applied,
            &Vec::new(),
        );
        same(
            "the second call changes nothing",
            &stage.shape().await,
            &shape,
        );
    }
}

async fn the_wrong_database_is_left_alone<S: SchemaStage>(stage: &S) {
    let (ctx, schema, db) = (stage.ctx(), stage.schema(), stage.db());
    let (backup, empty) = (stage.backup(), stage.shape().await);
    for (what, wrong) in [
        (
            "one that was replaced",
            replaced(db, &stage.stranger().await),
        ),
        ("one on another server", elsewhere(db)),
    ] {
        failed(&format!("look at {what}"), schema.look(ctx, &wrong).await);
        failed(
            &format!("apply to {what}"),
            schema.apply(ctx, &wrong, backup).await,
        );
        same("nothing was applied", &stage.shape().await, &empty);
    }
    done("apply", schema.apply(ctx, db, backup).await);
}
