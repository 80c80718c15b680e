//! Running a dump.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::io::AsyncRead;
use tokio_postgres::error::SqlState;

use super::object::DumpFrom;
use super::reader::{DumpReader, Item};
use super::roles::{Mapped, RoleMap};
use super::source::Source;
use super::statement::{copied, failed, is_of_another_version, refuse};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::model::{Endpoint, Identity, Outcome, Verdict};
use crate::postgres::restore::analyze;
use crate::postgres::room::Room;
use crate::postgres::session::as_the_server_says;
use crate::postgres::{
    ClientTool, Environment, RowOptions, Session, literal, server_error, server_facts,
};

/// How long the whole may take, and one statement of it. An index of a large table takes hours.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Bytes between pg_restore and the reader.
const PIPE: usize = 1 << 20;

/// How long pg_restore may take to say why it ended.
const SETTLE: Duration = Duration::from_secs(5);

/// A dump, and how it is restored.
#[derive(Clone, Debug)]
pub struct PgDump {
    /// An archive of pg_dump (custom, directory, tar), or a SQL file, as it is or under gzip or
    /// zstd; an archive is no object of a bucket.
    pub from: DumpFrom,
    /// What becomes of its roles.
    pub roles: RoleMap,
    /// Whether its SQL may be run by a superuser.
    pub trusted: bool,
    /// How many sessions gather statistics.
    pub options: RowOptions,
    /// The folder with pg_restore; without one it is looked for.
    pub tools: Option<PathBuf>,
    /// The environment to look in.
    pub environment: Environment,
}

/// What a dump's restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DumpReport {
    /// Statements that were run.
    pub statements: u64,
    /// Rows that came by COPY.
    pub rows: u64,
    /// Tables that they went to.
    pub tables: u64,
    /// Statements that were left out, by role.
    pub left_out: BTreeMap<String, u64>,
}

impl PgDump {
    /// Looks at the dump, before anything is made for it.
    ///
    /// # Errors
    /// It cannot be read; it is nothing that can be restored; its SQL would be run by a superuser
    /// of the server of `maintenance`, and it is not [trusted](Self::trusted).
    pub async fn check(&self, ctx: &Ctx, maintenance: &Endpoint) -> Result<()> {
        Source::of(&self.from).await?;
        let session = Session::open(maintenance, &crate::postgres::application(ctx)).await?;
        let role = session
            .query_one(
                "select rolname::text, rolsuper from pg_catalog.pg_roles
                  where rolname = current_user",
                &[],
            )
            .await
            .map_err(|e| server_error("could not look at one's own role", e));
        session.close().await;
        let role = role?;
        let (name, superuser): (String, bool) = (role.get(0), role.get(1));
        if superuser && !self.trusted {
            return Err(Error::refused(format!(
                "every statement of the dump would be run as {name:?}, a superuser, who may do \
                 anything on the server and its machine"
            ))
            .hint(
                "connect as a role that is no superuser, or give --trust if you know where the \
                 dump comes from",
            ));
        }
        Ok(())
    }

    /// Runs the dump in `db`, which must be empty, and counts what came.
    ///
    /// *Repeats:* no; a database in which a restore failed must be discarded. *Destroys:* what
    /// the dump's SQL destroys in `db`.
    ///
    /// # Errors
    /// The dump is cut short or damaged, or holds what is refused; a statement failed.
    pub async fn restore(
        &self,
        ctx: &Ctx,
        endpoint: &Endpoint,
        db: &Identity,
    ) -> Result<(DumpReport, Verdict)> {
        let session = Session::open_at(endpoint, db, ctx).await?;
        let room = Room::of(ctx, endpoint, db, &self.options.free_space).await?;
        let loading = ctx.within(LIMIT, "the dump", self.run(ctx, &session));
        let done = room.keep(|| "the dump".to_owned(), loading).await;
        session.close().await;
        let (report, expected) = done?;
        let session = Session::open_at(endpoint, db, ctx).await?;
        analyze(ctx, endpoint, db, &session, &self.options).await?;
        let verdict = verify(&session, &report, &expected).await;
        session.close().await;
        Ok((report, verdict?))
    }

    async fn run(&self, ctx: &Ctx, session: &Session) -> Result<(DumpReport, Expected)> {
        let name = self.from.name();
        let source = Source::of(&self.from).await?;
        let Source::Archive(archive) = &source else {
            return Load::new(self, ctx, session)
                .all(DumpReader::new(name, source.open().await?))
                .await;
        };
        let major = server_facts(session).await?.major();
        let folder = self.tools.as_deref();
        let tool = ClientTool::find("pg_restore", folder, &self.environment, major).await?;
        let args = ["--file=-".into(), archive.as_os_str().to_owned()];
        let (read, mut write) = tokio::io::duplex(PIPE);
        let writing = async {
            let output = crate::postgres::ToolOutput::Writer(&mut write);
            let input = crate::postgres::ToolInput::Nothing;
            let done = tool
                .run_through(ctx, None, &args, LIMIT, input, output)
                .await;
            drop(write);
            done
        };
        let loading = async {
            Load::new(self, ctx, session)
                .all(DumpReader::new(name, read))
                .await
        };
        let (mut writing, mut loading) = (pin!(writing), pin!(loading));
        tokio::select! {
            loaded = &mut loading => match loaded {
                Ok(loaded) => writing.await.map(|_| loaded),
                // A dump that is cut short may be so because its program failed.
                Err(e) if e.kind() == ErrorKind::Corrupt => {
                    match tokio::time::timeout(SETTLE, writing).await {
                        Ok(Err(why)) => Err(why),
                        _ => Err(e),
                    }
                }
                Err(e) => Err(e),
            },
            written = &mut writing => {
                written?;
                loading.await
            }
        }
    }
}

/// Rows that came by COPY, by the oid of their table.
type Expected = BTreeMap<u32, u64>;

/// A dump on its way into a database.
struct Load<'a> {
    roles: &'a RoleMap,
    ctx: &'a Ctx,
    session: &'a Session,
    report: DumpReport,
    expected: Expected,
}

impl<'a> Load<'a> {
    fn new(dump: &'a PgDump, ctx: &'a Ctx, session: &'a Session) -> Self {
        Self {
            roles: &dump.roles,
            ctx,
            session,
            report: DumpReport::default(),
            expected: Expected::new(),
        }
    }

    async fn all(
        mut self,
        mut reader: DumpReader<impl AsyncRead + Unpin>,
    ) -> Result<(DumpReport, Expected)> {
        self.session
            .batch_execute(&as_the_server_says())
            .await
            .map_err(|e| server_error("could not begin the restore", e))?;
        while let Some(item) = reader.next().await? {
            self.ctx.check_stop("the restore of the dump")?;
            let at = reader.line();
            match item {
                Item::Statement { text, .. } => self.statement(&text, at).await?,
                Item::Copy { text, .. } => self.copy(&text, &mut reader).await?,
            }
        }
        // What a transaction of the dump has not committed does not count.
        let ended = self.session.batch_execute("rollback").await;
        ended.map_err(|e| server_error("could not end the restore", e))?;
        self.report.tables = self.expected.len() as u64;
        Ok((self.report, self.expected))
    }

    async fn statement(&mut self, text: &str, line: usize) -> Result<()> {
        refuse(text, line)?;
        let mapped;
        let sql = match self.roles.apply(text)? {
            Mapped::Same => text,
            Mapped::Changed(new) => {
                mapped = new;
                &mapped
            }
            Mapped::LeftOut(role) => {
                *self.report.left_out.entry(role).or_default() += 1;
                return Ok(());
            }
        };
        match self.session.batch_execute(sql).await {
            Ok(()) => self.report.statements += 1,
            Err(e) if is_of_another_version(sql, &e) => self.ctx.events.info(format!(
                "the server does not know this setting of the dump: {sql}"
            )),
            Err(e)
                if e.code() == Some(&SqlState::DUPLICATE_SCHEMA)
                    && sql == "CREATE SCHEMA public" => {}
            Err(e) => return Err(failed(sql, line, e)),
        }
        Ok(())
    }

    async fn copy(
        &mut self,
        sql: &str,
        reader: &mut DumpReader<impl AsyncRead + Unpin>,
    ) -> Result<()> {
        let line = reader.line();
        let fail = |e| failed(sql, line, e);
        let mut sink = pin!(self.session.copy_in::<_, Bytes>(sql).await.map_err(fail)?);
        while let Some(rows) = reader.rows().await? {
            self.ctx.check_stop("the restore of the dump")?;
            if sink.send(rows).await.is_err() {
                // Why the server takes no more is in its answer to the end of the rows.
                break;
            }
        }
        let came = sink.finish().await.map_err(fail)?;
        let table = literal(copied(sql))?;
        let row = self
            .session
            .query_one(
                &format!("select {table}::pg_catalog.regclass::pg_catalog.oid"),
                &[],
            )
            .await
            .map_err(fail)?;
        *self.expected.entry(row.get(0)).or_default() += came;
        self.report.statements += 1;
        self.report.rows += came;
        Ok(())
    }
}

/// Counts every table that rows came to, and looks for indexes that are not valid.
async fn verify(session: &Session, report: &DumpReport, expected: &Expected) -> Result<Verdict> {
    let could_not = |e| server_error("could not count what was restored", e);
    let mut complaints = Vec::new();
    for (&oid, &came) in expected {
        // A partitioned table has its rows in its partitions; a table that others inherit from
        // has its own.
        let row = session
            .query_one(
                "select c.relkind = 'p', c.oid::pg_catalog.regclass::text
                   from pg_catalog.pg_class c where c.oid = $1",
                &[&oid],
            )
            .await
            .map_err(could_not)?;
        let (partitioned, table): (bool, String) = (row.get(0), row.get(1));
        let only = if partitioned { "" } else { "only " };
        let sql = format!("select pg_catalog.count(*) from {only}{table}");
        let found: i64 = session
            .query_one(&sql, &[])
            .await
            .map_err(could_not)?
            .get(0);
        if found.cast_unsigned() != came {
            complaints.push(format!("{table}: {came} rows came, {found} are there"));
        }
    }
    let mut verdict = Verdict::default();
    let looked_at = format!("{} tables, {} rows", report.tables, report.rows);
    verdict.add_complaints("rows", looked_at, complaints);
    let invalid = session
        .query(
            "select i.indexrelid::pg_catalog.regclass::text from pg_catalog.pg_index i
              where not i.indisvalid order by 1",
            &[],
        )
        .await
        .map_err(could_not)?;
    let invalid: Vec<String> = invalid
        .iter()
        .map(|row| format!("{} is not valid", row.get::<_, String>(0)))
        .collect();
    verdict.add_complaints("indexes", "every index", invalid);
    if report.statements == 0 {
        let why = vec!["the dump has no statement".to_owned()];
        verdict.add("statements", "the dump", Outcome::Failed(why));
    }
    Ok(verdict)
}
