//! Databases that a look at the schema makes and removes again.

use std::time::Duration;

use jiff::Timestamp;

use super::adopt::adopt;
use super::wanted::Wanted;
use super::{ProvisionOptions, create, discard, extensions, settings, untouched};
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{DatabaseFacts, Endpoint, Identity, RunId};
use crate::postgres::sessions::{self, EndSessions};
use crate::postgres::teardown::place;
use crate::postgres::{Session, application, ident, server_error, server_facts};

/// What the names of all scratch databases begin with; the run's short id follows.
pub(super) const NAME: &str = "rebuild_scratch_";
/// What their marks begin with; the run and the time of making follow.
pub(in crate::postgres) const MARK: &str = "rebuild: scratch of ";
const MADE: &str = ", made ";
/// How old one must be before another run removes it.
const LEFT_BEHIND: Duration = Duration::from_secs(10 * 60);

/// An empty database of a run, like another one, that nobody else needs.
///
/// A session of the run stays connected to the server as long as this lives, by which other runs
/// see that the scratch database is in use. [`remove`](Self::remove) removes it; what a killed
/// process left is removed by a later [`sweep`](Self::sweep).
pub struct ScratchDatabase {
    maintenance: Endpoint,
    session: Session,
    identity: Identity,
    mark: String,
}

impl ScratchDatabase {
    /// Makes one like `like`: its encoding, locale, owner and settings. `maintenance` is the
    /// server at its maintenance database.
    ///
    /// *Repeats:* what this run made before, in a process that is gone, is removed and made
    /// again. *Destroys:* nothing else.
    ///
    /// # Errors
    /// The name is taken by something else; the role may not create databases; the server
    /// refused.
    pub async fn make(maintenance: &Endpoint, like: &DatabaseFacts, ctx: &Ctx) -> Result<Self> {
        Self::make_as(maintenance, like, &ProvisionOptions::default(), ctx).await
    }

    /// Makes one as [`PgProvision`](super::PgProvision) would make a new database with `options`
    /// and the model `like`, but for grants on the database, its limits and its tablespace, and
    /// settings that the role may not give or that are another role's.
    ///
    /// *Repeats*, *Destroys*: as [`make`](Self::make).
    ///
    /// # Errors
    /// As [`make`](Self::make); an extension could not be created.
    pub async fn make_as(
        maintenance: &Endpoint,
        like: &DatabaseFacts,
        options: &ProvisionOptions,
        ctx: &Ctx,
    ) -> Result<Self> {
        let mut session = Session::open(maintenance, &application(ctx)).await?;
        let name = name_of(&ctx.run);
        clear(maintenance, &mut session, ctx, &name).await?;
        let wanted = Wanted {
            tablespace: None,
            ..Wanted::new(options, Some(like))?
        };
        create::create_now(&session, &name, &wanted).await?;
        let made = place::by_name(&session, &name).await?.ok_or_else(|| {
            Error::refused(format!("database {name:?} was made, and is gone again"))
        })?;
        let mark = mark_at(&ctx.run.to_string(), now(&session).await?)?;
        create::mark_and_rename(&mut session, &made, &name, &mark).await?;
        let scratch = Self {
            maintenance: maintenance.clone(),
            identity: Identity {
                server: place::system_identifier(&session).await?,
                name,
                uid: made.oid.to_string(),
            },
            session,
            mark,
        };
        match scratch.furnish(&wanted, ctx).await {
            Ok(()) => Ok(scratch),
            Err(e) => {
                scratch.remove_or_warn(ctx).await;
                Err(e)
            }
        }
    }

    async fn furnish(&self, wanted: &Wanted, ctx: &Ctx) -> Result<()> {
        extensions::create(&self.maintenance, ctx, &self.identity, &wanted.extensions).await?;
        let major = server_facts(&self.session).await?.major();
        let own = settings::permitted(&self.session, major, &wanted.settings).await?;
        settings::apply(&self.session, &self.identity.name, &own).await?;
        self.commit_without_waiting().await?;
        if let Some(owner) = &wanted.owner {
            give(&self.session, major, &self.identity.name, owner).await?;
        }
        Ok(())
    }

    /// Nothing in it has to outlive a crash of the server, so no commit waits for the disk.
    async fn commit_without_waiting(&self) -> Result<()> {
        let database = ident(&self.identity.name)?;
        self.session
            .batch_execute(&format!(
                "alter database {database} set synchronous_commit = off"
            ))
            .await
            .map_err(|e| server_error(format!("could not set up {}", self.identity), e))
    }

    /// Which database it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Removes it, with every session in it.
    ///
    /// *Repeats:* one that is gone is no error. *Destroys:* the scratch database, found by its
    /// oid and its mark.
    ///
    /// # Errors
    /// A refusal if it no longer carries its mark; the server refused.
    pub async fn remove(self, ctx: &Ctx) -> Result<()> {
        // It was idle while the database was used, and something in between may have cut it.
        let mut session = if self.session.is_closed() {
            Session::open(&self.maintenance, &application(ctx)).await?
        } else {
            self.session
        };
        let oid = place::oid_here(&session, &self.identity).await?;
        if let Some(now) = place::by_oid(&session, oid).await? {
            discard::remove(&mut session, &now, &self.mark, &EndSessions::All).await?;
        }
        session.close().await;
        Ok(())
    }

    /// Removes it, and reports as a warning what stands in the way of it; a later
    /// [`sweep`](Self::sweep) tries again.
    ///
    /// *Repeats*, *Destroys*: as [`remove`](Self::remove).
    pub async fn remove_or_warn(self, ctx: &Ctx) {
        let name = self.identity.name.clone();
        if let Err(e) = self.remove(ctx).await {
            ctx.events.warn(format!(
                "the scratch database {name:?} could not be removed: {}",
                e.chain()
            ));
        }
    }

    /// Removes scratch databases that killed processes left: marked as such, older than ten
    /// minutes, with no session in them, and none of their run on the server. Returns their
    /// names. One that cannot be removed is reported as a warning and left. Empty ones that were
    /// never marked are marked, and go ten minutes later.
    ///
    /// *Repeats:* finds what is left. *Destroys:* those databases.
    ///
    /// # Errors
    /// The server could not be asked.
    pub async fn sweep(maintenance: &Endpoint, ctx: &Ctx) -> Result<Vec<String>> {
        let mut session = Session::open(maintenance, &application(ctx)).await?;
        let mut removed = Vec::new();
        for (place, mark) in left_behind(&session).await? {
            // A session that has come in since is a refusal, and keeps its database.
            match discard::remove(&mut session, &place, &mark, &EndSessions::None).await {
                Ok(()) => removed.push(place.name),
                Err(e) => ctx.events.warn(format!(
                    "the scratch database {:?} of a run that has ended could not be removed: {}",
                    place.name,
                    e.chain()
                )),
            }
        }
        if let Err(e) = adopt(maintenance, &mut session, ctx).await {
            ctx.events.warn(format!(
                "could not mark what a killed run left: {}",
                e.chain()
            ));
        }
        session.close().await;
        Ok(removed)
    }
}

/// The name of the scratch database of `run`.
pub(super) fn name_of(run: &RunId) -> String {
    format!("{NAME}{}", run.short())
}

/// What the mark of a scratch database of `run` begins with.
pub(super) fn mark_of(run: &RunId) -> String {
    format!("{MARK}{run}{MADE}")
}

/// The mark of what a run, or the end of its id, made at that second since 1970.
pub(super) fn mark_at(run: &str, second: i64) -> Result<String> {
    let made = Timestamp::from_second(second)
        .map_err(|e| Error::internal("the server's clock has no date").caused_by(e))?;
    Ok(format!("{MARK}{run}{MADE}{made}"))
}

/// Removes what this run left under `name`.
pub(super) async fn clear(
    maintenance: &Endpoint,
    session: &mut Session,
    ctx: &Ctx,
    name: &str,
) -> Result<()> {
    let Some(left) = place::by_name(session, name).await? else {
        return Ok(());
    };
    let ours = mark_of(&ctx.run);
    let mark = match &left.comment {
        Some(comment) if comment.starts_with(&ours) => comment.clone(),
        None if untouched::is_empty(maintenance, session, ctx, &left).await? => {
            create::mark_and_rename(session, &left, name, &ours).await?;
            ours
        }
        _ => {
            return Err(Error::refused(format!(
                "there is a database called {name:?} already, which this run did not make"
            )));
        }
    };
    discard::remove(session, &left, &mark, &EndSessions::All).await
}

/// Gives the database to `owner`, if the role may. `SET` is a right of its own since 16
/// (<https://www.postgresql.org/docs/current/functions-info.html>).
async fn give(session: &Session, major: u32, name: &str, owner: &str) -> Result<()> {
    let membership = if major >= 16 { "SET" } else { "MEMBER" };
    let what = || format!("could not give {name:?} to {owner:?}");
    let may: bool = session
        .query_one(
            "select pg_catalog.pg_has_role($1::text::pg_catalog.name, $2)",
            &[&owner, &membership],
        )
        .await
        .map(|row| row.get(0))
        .map_err(|e| server_error(what(), e))?;
    if !may {
        return Ok(());
    }
    session
        .batch_execute(&format!(
            "alter database {} owner to {}",
            ident(name)?,
            ident(owner)?
        ))
        .await
        .map_err(|e| server_error(what(), e))
}

/// Scratch databases that nobody uses any more, with their marks.
async fn left_behind(session: &Session) -> Result<Vec<(place::Place, String)>> {
    let rows = session
        .query(
            "select d.oid, pg_catalog.shobj_description(d.oid, 'pg_database')
               from pg_catalog.pg_database d
              where pg_catalog.starts_with(d.datname, $1)
                 or pg_catalog.starts_with(d.datname, 'rebuild_drop_')",
            &[&NAME],
        )
        .await
        .map_err(|e| server_error("could not look for scratch databases", e))?;
    let now = now(session).await?;
    let mut left = Vec::new();
    for row in rows {
        let Some((run, made, mark)) = row.get::<_, Option<String>>(1).and_then(parse) else {
            continue;
        };
        let oid: u32 = row.get(0);
        let old = now - made >= i64::try_from(LEFT_BEHIND.as_secs()).unwrap_or(i64::MAX);
        if !old || alive(session, &run).await? {
            continue;
        }
        if let Some(place) = place::by_oid(session, oid).await?
            && sessions::foreign(session, oid, &[]).await?.is_empty()
        {
            left.push((place, mark));
        }
    }
    Ok(left)
}

/// The run, the second of making, and the whole mark.
fn parse(mark: String) -> Option<(String, i64, String)> {
    let (run, made) = mark.strip_prefix(MARK)?.split_once(MADE)?;
    let made: Timestamp = made.parse().ok()?;
    Some((run.to_owned(), made.as_second(), mark))
}

/// True if a session of that run, or of one whose id ends so, is on the server. Every role may see
/// the `application_name` of every session.
pub(super) async fn alive(session: &Session, run: &str) -> Result<bool> {
    session
        .query_one(
            "select exists (select from pg_catalog.pg_stat_activity
                             where pg_catalog.starts_with(application_name, 'rebuild/')
                               and pg_catalog.right(application_name, pg_catalog.length($1)) = $1)",
            &[&run],
        )
        .await
        .map(|row| row.get(0))
        .map_err(|e| server_error(format!("could not look for sessions of {run}"), e))
}

/// The server's clock, in seconds since 1970.
pub(super) async fn now(session: &Session) -> Result<i64> {
    session
        .query_one(
            "select pg_catalog.date_part('epoch', pg_catalog.now())::int8",
            &[],
        )
        .await
        .map(|row| row.get(0))
        .map_err(|e| server_error("could not read the server's clock", e))
}
