//! Making the place for the new database.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::event::Ctx;
use crate::model::Identity;

/// What to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProvisionRequest {
    /// Its name: the staged name, or the target's own where the old one was retired first.
    pub name: String,
    /// The database whose owner, encoding, locale, settings and grants it gets where the spec
    /// does not say otherwise.
    pub like: Option<Identity>,
}

/// Makes an empty place for the data, and can take it away again.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Provision: Send + Sync {
    /// What carries `name` now.
    ///
    /// # Errors
    /// The server could not be asked.
    async fn look(&self, ctx: &Ctx, name: &str) -> Result<Option<Identity>>;

    /// Makes it, empty and ready for the schema, marked as made by `ctx.run`.
    ///
    /// *Repeats:* what this run made earlier under that name is completed and returned.
    /// *Destroys:* nothing; a thing of that name that this run did not make is a refusal.
    ///
    /// # Errors
    /// The name is taken; rights or space are missing; the server failed.
    async fn provision(&self, ctx: &Ctx, request: &ProvisionRequest) -> Result<Identity>;

    /// Removes what this run made, found by its identifier and mark and never by name alone.
    ///
    /// *Repeats:* a thing that is gone is no error; a half-done removal is finished.
    /// *Destroys:* `made`, which holds only a copy.
    ///
    /// # Errors
    /// A refusal if `made` does not carry this run's mark or has been put in service.
    async fn discard(&self, ctx: &Ctx, made: &Identity) -> Result<()>;

    /// Takes this run's mark off what it made, which is in service from then on and can no longer
    /// be discarded. It gets the comment of `like`.
    ///
    /// *Repeats:* what carries no mark is left alone. *Destroys:* nothing.
    ///
    /// # Errors
    /// It no longer exists; the server failed.
    async fn settle<'a>(
        &self,
        ctx: &Ctx,
        made: &Identity,
        like: Option<&'a Identity>,
    ) -> Result<()>;
}
