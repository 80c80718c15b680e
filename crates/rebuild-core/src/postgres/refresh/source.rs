//! The database that rows come from.

use async_trait::async_trait;

use super::carried::{Carried, carry};
use super::mask::SALT;
use super::rules::RefreshRules;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::Endpoint;
use crate::postgres::rows::names::Names;
use crate::postgres::rows::tables::LiveTable;
use crate::postgres::{Chooser, Session, application, server_error};
use crate::secret::Secret;

/// A database that is only read, and by which rules.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is. Its sessions cannot write.
    pub(crate) endpoint: Endpoint,
    pub(crate) rules: RefreshRules,
}

impl Source {
    /// The database at `endpoint`, read by `role` if one is given.
    pub(crate) fn new(endpoint: Endpoint, role: Option<&str>, rules: RefreshRules) -> Self {
        let mut endpoint = endpoint.only_reading(role);
        // As a statement's parameter it could get into the server's log.
        let salt = rules
            .salt
            .iter()
            .map(|salt| (SALT.to_owned(), salt.clone()));
        endpoint.hidden_settings.extend(salt);
        Self { endpoint, rules }
    }

    /// A session there.
    ///
    /// # Errors
    /// The server could not be reached.
    pub(crate) async fn open(&self, ctx: &Ctx) -> Result<Session> {
        let opened = Session::open(&self.endpoint, &application(ctx)).await;
        opened.map_err(|e| e.context("could not open the source"))
    }

    /// What the rules make of the source's `tables`; every expression of the spec is tried on no row.
    ///
    /// # Errors
    /// The server could not be asked. What does not fit is among the problems.
    pub(crate) async fn carried(
        &self,
        session: &Session,
        mut tables: Vec<LiveTable>,
    ) -> Result<Carried> {
        let names = Names::under("UTF8");
        let mut carried = carry(session, &self.rules, &mut tables, names).await?;
        self.prepare(session).await?;
        for table in tables.iter().filter(|t| t.holds_rows()) {
            if let Some(problem) = tried(session, table, names).await? {
                carried.problems.push(problem);
            }
        }
        Ok(carried)
    }
}

/// Why the server would not read `table` as the spec wants, if it would not.
async fn tried(session: &Session, table: &LiveTable, names: Names) -> Result<Option<String>> {
    if table.is_plain() && table.filter.is_none() {
        return Ok(None);
    }
    let sql = format!(
        "select {} from only {} where (\n{}\n) limit 0",
        table.selected(names)?.join(", "),
        names.table(&table.table)?,
        table.filter.as_deref().unwrap_or("true")
    );
    match session.batch_execute(&sql).await {
        Ok(()) => Ok(None),
        Err(e) if e.as_db_error().is_some() => {
            let failed = server_error("the source does not take what the spec says", e);
            Ok(Some(format!("{}: {}", table.table, failed.chain())))
        }
        Err(e) => Err(server_error("could not ask the source", e)),
    }
}

#[async_trait]
impl Chooser for Source {
    async fn choose(&self, session: &Session, tables: &mut [LiveTable]) -> Result<()> {
        let encoding: String = session
            .query_one(
                "select pg_catalog.getdatabaseencoding()::pg_catalog.text",
                &[],
            )
            .await
            .map_err(|e| server_error("could not read the source's encoding", e))?
            .get(0);
        let names = Names::under(&encoding);
        let carried = carry(session, &self.rules, tables, names).await?;
        if carried.problems.is_empty() {
            return Ok(());
        }
        Err(Error::refused(carried.problems.join("; ")))
    }

    async fn prepare(&self, session: &Session) -> Result<()> {
        let salt = self.rules.salt.as_ref().map_or("", Secret::expose);
        let taken = session
            .query_one(
                "select coalesce(pg_catalog.current_setting($1, true), '')",
                &[&SALT],
            )
            .await
            .map_err(|e| server_error("could not ask the source for its settings", e))?;
        if taken.get::<_, String>(0) == salt {
            return Ok(());
        }
        Err(Error::refused(
            "the source did not take the salt of the masks",
        ))
    }
}
