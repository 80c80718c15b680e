//! Making the place for a new database, and taking it away again.

mod adopt;
mod create;
mod discard;
mod extensions;
mod grants;
mod marked;
mod scratch;
mod settings;
mod settle;
#[cfg(test)]
mod tests;
mod untouched;
mod wanted;

use std::sync::Arc;

use async_trait::async_trait;

use super::teardown::place;
use super::{DatabaseKey, TargetLock, database_facts, find_database};
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{DatabaseFacts, Endpoint, Identity};
use crate::traits::{Provision, ProvisionRequest};
pub(super) use settings::Setting;
use wanted::Wanted;

pub(crate) use marked::Marked;
pub(super) use scratch::MARK as SCRATCH_MARK;
pub use scratch::ScratchDatabase;

/// What the new database is to be like. What is not given comes from the database that the
/// request names as its model, or else from the server's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProvisionOptions {
    /// The owner.
    pub owner: Option<String>,
    /// The encoding's name, for example `UTF8`.
    pub encoding: Option<String>,
    /// `LC_COLLATE`, and `LC_CTYPE` as well unless `ctype` is given.
    pub locale: Option<String>,
    /// `LC_CTYPE`.
    pub ctype: Option<String>,
    /// `libc`, `icu` (server 15 and later) or `builtin` (17 and later).
    pub locale_provider: Option<String>,
    /// The locale of the provider `icu` or `builtin`.
    pub icu_locale: Option<String>,
    /// The database that is copied; otherwise `template0`, which has nothing in it.
    pub template: Option<String>,
    /// How many sessions it accepts at once, of roles that are not superusers; -1 is no limit.
    pub connection_limit: Option<i32>,
    /// The default tablespace.
    pub tablespace: Option<String>,
    /// Settings of the database as (name, value), on top of the model's and instead of those of
    /// the same name.
    pub settings: Vec<(String, String)>,
    /// Grants on the database on top of the model's, for example `CONNECT TO app`,
    /// `CREATE, TEMPORARY TO "a b", c WITH GRANT OPTION` or `CONNECT TO PUBLIC`. Names of roles
    /// are taken as they are written; capital letters stay.
    pub grants: Vec<String>,
    /// Extensions to create, with those they need.
    pub extensions: Vec<String>,
}

/// [`Provision`] by `CREATE DATABASE`.
///
/// The new database is marked by a comment that names the run. `CREATE DATABASE` cannot share a
/// transaction with `COMMENT`
/// (<https://www.postgresql.org/docs/current/sql-createdatabase.html>), so it is made under a
/// name that ends with the run's short id and renamed, if it is to have another, together with
/// the marking. What a killed run left without a mark is thereby known as its own: by that name,
/// and by having nothing
/// in it that its template has not.
///
/// Everything is done on the connection that holds the target's lock, but for looking into the
/// new database and creating extensions there.
pub struct PgProvision {
    /// The server, at its maintenance database.
    maintenance: Endpoint,
    lock: Arc<TargetLock>,
    options: ProvisionOptions,
    /// What a database is like that has no living model.
    model: Option<DatabaseFacts>,
    /// Whether an empty database of the name makes room.
    over_empty: bool,
}

impl PgProvision {
    /// Makes databases as `options` say, on `lock`'s connection.
    pub fn new(maintenance: Endpoint, lock: Arc<TargetLock>, options: ProvisionOptions) -> Self {
        Self {
            maintenance,
            lock,
            options,
            model: None,
            over_empty: false,
        }
    }

    /// Removes an untouched database of the wanted name first, as a new server makes one for
    /// itself. It may be of another encoding or locale than what is wanted.
    #[must_use]
    pub fn over_empty(mut self) -> Self {
        self.over_empty = true;
        self
    }

    /// Uses `model`, which may no longer exist, where a request names none.
    #[must_use]
    pub fn modelled_on(mut self, model: DatabaseFacts) -> Self {
        self.model = Some(model);
        self
    }
}

#[async_trait]
impl Provision for PgProvision {
    /// What carries `name` now, or else what this run has begun to make for that name.
    async fn look(&self, ctx: &Ctx, name: &str) -> Result<Option<Identity>> {
        let session = super::Session::open(&self.maintenance, &super::application(ctx)).await?;
        let begun = create::first_name(&ctx.run, name);
        let mut found = find_database(&session, DatabaseKey::Name(name)).await?;
        if found.is_none() && begun != name {
            found = find_database(&session, DatabaseKey::Name(&begun)).await?;
        }
        session.close().await;
        Ok(found)
    }

    async fn provision(&self, ctx: &Ctx, request: &ProvisionRequest) -> Result<Identity> {
        let mut session = self.lock.session().await?;
        let server = super::server_facts(&session).await?;
        let like = match &request.like {
            Some(like) => {
                let oid = place::oid_here(&session, like).await?;
                Some(database_facts(&session, DatabaseKey::Oid(oid)).await?)
            }
            None => self.model.clone(),
        };
        let wanted = Wanted::new(&self.options, like.as_ref())?;
        settings::refuse_forbidden(&session, server.major(), &wanted.settings).await?;

        let made = create::create(self, &mut session, ctx, &request.name, &wanted).await?;
        extensions::create(&self.maintenance, ctx, &made, &wanted.extensions).await?;
        create::complete(&session, &made.name, &wanted).await?;
        settings::apply(&session, &made.name, &wanted.settings).await?;
        grants::apply(&mut session, &made.name, &wanted).await?;
        Ok(made)
    }

    async fn discard(&self, ctx: &Ctx, made: &Identity) -> Result<()> {
        discard::discard(self, ctx, made).await
    }

    async fn settle<'a>(
        &self,
        ctx: &Ctx,
        made: &Identity,
        like: Option<&'a Identity>,
    ) -> Result<()> {
        settle::settle(self, ctx, made, like).await
    }
}
