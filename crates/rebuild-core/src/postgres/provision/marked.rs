//! Databases that are found again by their marks, whoever made them and whatever they are called.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{PgProvision, ProvisionOptions, discard, place, scratch};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity, RunId};
use crate::plan::Names;
use crate::postgres::sessions::EndSessions;
use crate::postgres::{Session, TargetLock, application, made_by, server_error};
use crate::traits::{Lock, Provision};

/// How long sessions of a process that is gone may take to end.
const END_WITHIN: Duration = Duration::from_secs(30);

/// What carries the mark `mark`, or was made by one of `runs`: as a database called `name`, in its place,
/// or to look at a schema.
pub(crate) struct Marked {
    /// The server, at its maintenance database.
    pub(crate) maintenance: Endpoint,
    /// A comment that no other database has.
    pub(crate) mark: String,
    /// The runs.
    pub(crate) runs: Vec<RunId>,
    /// What they made is, or was to be, called so.
    pub(crate) name: String,
}

impl Marked {
    /// Ends the sessions of the runs. What one of them had begun when its process was killed would
    /// otherwise appear later.
    ///
    /// # Errors
    /// They do not end; the server refused.
    pub(crate) async fn end_sessions(&self, ctx: &Ctx) -> Result<()> {
        let session = Session::open(&self.maintenance, &application(ctx)).await?;
        let applications: Vec<String> = self
            .runs
            .iter()
            .map(|run| application_of(ctx, run))
            .collect();
        let deadline = Instant::now() + END_WITHIN;
        loop {
            let left = session
                .query(
                    "select pid, pg_catalog.pg_terminate_backend(pid)
                       from pg_catalog.pg_stat_activity
                      where application_name operator(pg_catalog.=) any ($1)
                        and pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid()",
                    &[&applications],
                )
                .await
                .map_err(|e| server_error("could not end the sessions of an earlier process", e))?;
            if left.is_empty() {
                session.close().await;
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::new(
                    ErrorKind::Deadline,
                    format!("{} sessions of an earlier process do not end", left.len()),
                ));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What is there of them.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(crate) async fn find(&self, ctx: &Ctx) -> Result<Vec<Identity>> {
        let session = Session::open(&self.maintenance, &application(ctx)).await?;
        let mut found = Vec::new();
        for (place, _) in self.places(&session).await? {
            found.push(place::identity(&session, place).await?);
        }
        session.close().await;
        Ok(found)
    }

    /// Drops `found`, with the sessions in it.
    ///
    /// *Repeats:* one that is gone is no error. *Destroys:* that database, found by its oid and its
    /// mark.
    ///
    /// # Errors
    /// A refusal if it carries none of the marks; the server refused.
    pub(crate) async fn remove(&self, ctx: &Ctx, found: &Identity) -> Result<()> {
        let mut session = Session::open(&self.maintenance, &application(ctx)).await?;
        let oid = place::oid_here(&session, found).await?;
        let mut places = self.places(&session).await?;
        places.retain(|(place, _)| place.oid == oid);
        let Some((place, begun)) = places.pop() else {
            return match place::by_oid(&session, oid).await? {
                None => Ok(()),
                Some(_) => Err(Error::refused(format!(
                    "{found} does not carry the mark by which it was known; it was not dropped"
                ))),
            };
        };
        match (&place.comment, begun) {
            (Some(mark), _) => {
                let all = EndSessions::All;
                discard::remove(&mut session, &place, mark, &all).await?;
            }
            (None, Some(Begun::Staged(run))) => self.discard(ctx, found, run).await?,
            (None, Some(Begun::Scratch(run))) => {
                let of_run = Ctx { run, ..ctx.clone() };
                scratch::clear(&self.maintenance, &mut session, &of_run, &place.name).await?;
            }
            (None, None) => return Err(Error::internal("a database that nothing tells")),
        }
        session.close().await;
        Ok(())
    }

    /// Drops what was made and not yet marked.
    async fn discard(&self, ctx: &Ctx, found: &Identity, run: RunId) -> Result<()> {
        let lock = Arc::new(TargetLock::new(self.maintenance.clone(), found.clone()));
        lock.acquire(ctx).await?;
        let options = ProvisionOptions::default();
        let provision = PgProvision::new(self.maintenance.clone(), lock.clone(), options);
        let of_run = Ctx { run, ..ctx.clone() };
        provision.discard(&of_run, found).await?;
        lock.release(ctx).await
    }

    /// Each database, and for what it was begun, if its name alone tells that.
    async fn places(&self, session: &Session) -> Result<Vec<(place::Place, Option<Begun>)>> {
        let mut marks = vec![self.mark.clone()];
        marks.extend(self.runs.iter().map(made_by));
        let prefixes: Vec<String> = self.runs.iter().map(scratch::mark_of).collect();
        let begun: Vec<(String, Begun)> =
            self.runs.iter().flat_map(|run| self.begun(run)).collect();
        let names: Vec<&str> = begun.iter().map(|(name, _)| name.as_str()).collect();
        let rows = session
            .query(
                "select d.oid from (
                    select oid, datname::pg_catalog.text as name,
                           pg_catalog.shobj_description(oid, 'pg_database') as comment
                      from pg_catalog.pg_database) d
                  where d.comment operator(pg_catalog.=) any ($1)
                     or exists (select from pg_catalog.unnest($2::pg_catalog.text[]) as prefix
                                 where pg_catalog.starts_with(d.comment, prefix))
                     or (d.comment is null and d.name operator(pg_catalog.=) any ($3))
                  order by d.oid",
                &[&marks, &prefixes, &names],
            )
            .await
            .map_err(|e| server_error("could not look for the databases that were made", e))?;
        let mut found = Vec::new();
        for row in rows {
            if let Some(place) = place::by_oid(session, row.get(0)).await? {
                let begun = begun.iter().find(|(name, _)| *name == place.name);
                found.push((place, begun.map(|(_, begun)| begun.clone())));
            }
        }
        Ok(found)
    }

    /// The names that `run` alone gives, before it gives a mark.
    fn begun(&self, run: &RunId) -> [(String, Begun); 2] {
        [
            (
                Names::of(run, &self.name).staged,
                Begun::Staged(run.clone()),
            ),
            (scratch::name_of(run), Begun::Scratch(run.clone())),
        ]
    }
}

/// What a database without a mark was to be, and for which run.
#[derive(Clone)]
enum Begun {
    Staged(RunId),
    Scratch(RunId),
}

fn application_of(ctx: &Ctx, run: &RunId) -> String {
    application(&Ctx {
        run: run.clone(),
        ..ctx.clone()
    })
}
