//! Looking whether a database is as it should be.

mod against;
mod amount;
mod answer;
mod counts;
mod foreign_keys;
mod http;
mod indexes;
mod look;
mod names;
mod query;
mod sequences;
mod structure;

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;

use self::amount::amount;
use self::answer::Answer;
use self::http::HttpCheck;
use self::look::Look;
use self::query::QueryCheck;
use self::structure::ColumnWanted;
use crate::error::{Error, Result};
use crate::event::Ctx;
use crate::model::{BackupId, Check, Endpoint, Outcome, TableName, Verdict};
use crate::spec::{CheckSpec, TablePatterns};
use crate::traits::{Verifier, VerifyRequest};

pub use against::{BackedUp, ContentReport, Picks};
pub use names::table_name;

/// Verifies databases of one server by the checks of a spec.
///
/// Every check that asks the database sees the same moment of it, in a transaction that cannot
/// write. A check that finds a difference is a failed one; a check that the server does not let
/// us look at did not run, which counts as a failure too.
pub struct PgVerifier {
    endpoint: Endpoint,
    checks: Vec<Prepared>,
    backups: Arc<dyn BackedUp>,
    jobs: NonZeroUsize,
}

/// A check of the spec, its names read.
enum Prepared {
    Counts(TablePatterns),
    Content(TablePatterns),
    Tables(Vec<TableName>),
    Column(ColumnWanted),
    EveryColumn {
        name: String,
        type_name: String,
    },
    Extension {
        name: String,
        version: Option<String>,
    },
    Sequences,
    ForeignKeys,
    Indexes,
    Query(QueryCheck),
    Http(HttpCheck),
}

impl PgVerifier {
    /// A verifier of databases on the server of `endpoint`, by `checks` in their order, but that
    /// content is compared and services are asked last. What they compare with a backup is asked
    /// of `backups`; rows are counted on up to `jobs` sessions.
    ///
    /// # Errors
    /// Wrong input: a table's name has no schema, a pattern is none, what a query should give is
    /// neither a value nor a row nor rows, an address is none.
    pub fn new(
        endpoint: Endpoint,
        checks: Vec<CheckSpec>,
        backups: Arc<dyn BackedUp>,
        jobs: NonZeroUsize,
    ) -> Result<Self> {
        Ok(Self {
            endpoint,
            checks: checks
                .into_iter()
                .map(Prepared::read)
                .collect::<Result<_>>()?,
            backups,
            jobs,
        })
    }

    /// What to check when a spec says nothing: that indexes are valid, that sequences are ahead
    /// and, if rows were `restored`, that they are as many as in the backup.
    pub fn default_checks(restored: bool) -> Vec<CheckSpec> {
        let counts = restored.then(|| CheckSpec::Counts { except: Vec::new() });
        let always = [CheckSpec::Sequences {}, CheckSpec::Indexes {}];
        counts.into_iter().chain(always).collect()
    }

    /// Runs a check that asks the database in the transaction of the look.
    async fn in_look(
        &self,
        look: &Look<'_>,
        check: &Prepared,
        request: &VerifyRequest,
    ) -> Result<Option<Check>> {
        let name = check.name();
        let checked = match check {
            Prepared::Content(_) | Prepared::Http(_) => return Ok(None),
            Prepared::Counts(except) => {
                let Some(backup) = &request.backup else {
                    return Ok(Some(nothing_to_compare_with(name)));
                };
                let expected = self.backups.counts(look.ctx, &request.db, backup).await?;
                look.check(&name, counts::counts(look, expected, except))
                    .await
            }
            Prepared::Tables(tables) => look.check(&name, structure::tables(look, tables)).await,
            Prepared::Column(wanted) => look.check(&name, structure::column(look, wanted)).await,
            Prepared::EveryColumn { name: n, type_name } => {
                look.check(&name, structure::every_column(look, n, type_name))
                    .await
            }
            Prepared::Extension { name: n, version } => {
                look.check(&name, structure::extension(look, n, version.as_deref()))
                    .await
            }
            Prepared::Sequences => look.check(&name, sequences::sequences(look)).await,
            Prepared::ForeignKeys => look.check(&name, foreign_keys::foreign_keys(look)).await,
            Prepared::Indexes => look.check(&name, indexes::indexes(look)).await,
            Prepared::Query(query) => look.check(&name, query::query(look, query)).await,
        };
        checked.map(Some)
    }

    /// Runs a check that has sessions of its own, or none.
    async fn after_look(
        &self,
        ctx: &Ctx,
        check: &Prepared,
        request: &VerifyRequest,
    ) -> Result<Option<Check>> {
        let checked = match check {
            Prepared::Content(except) => match &request.backup {
                Some(backup) => self.content(ctx, request, backup, except).await,
                None => Ok(nothing_to_compare_with(check.name())),
            },
            Prepared::Http(check) => http::http(ctx, check).await,
            _ => return Ok(None),
        };
        checked.map(Some)
    }

    async fn content(
        &self,
        ctx: &Ctx,
        request: &VerifyRequest,
        backup: &BackupId,
        except: &TablePatterns,
    ) -> Result<Check> {
        let pick = |table: &TableName| except.matches(table);
        let report = self
            .backups
            .differences(ctx, &request.db, backup, &pick)
            .await?;
        let looked_at = format!(
            "{}, {}",
            amount(report.tables, "table", "tables"),
            amount(report.rows, "row", "rows")
        );
        Ok(structure::check("content", looked_at, report.differing))
    }
}

impl Prepared {
    fn read(check: CheckSpec) -> Result<Self> {
        Ok(match check {
            CheckSpec::Counts { except } => Self::Counts(TablePatterns::compile(&except)?),
            CheckSpec::Content { except } => Self::Content(TablePatterns::compile(&except)?),
            CheckSpec::Tables { tables } => Self::Tables(
                tables
                    .iter()
                    .map(|t| table_name(t))
                    .collect::<Result<_>>()?,
            ),
            CheckSpec::Column {
                table,
                column,
                type_name,
                nullable,
            } => Self::Column(ColumnWanted {
                table: table_name(&table)?,
                column,
                type_name,
                nullable,
            }),
            CheckSpec::EveryColumn { name, type_name } => Self::EveryColumn { name, type_name },
            CheckSpec::Extension { name, version } => Self::Extension { name, version },
            CheckSpec::Sequences {} => Self::Sequences,
            CheckSpec::ForeignKeys {} => Self::ForeignKeys,
            CheckSpec::Indexes {} => Self::Indexes,
            CheckSpec::Query {
                sql,
                expect,
                timeout,
            } => Self::Query(QueryCheck {
                sql,
                answer: Answer::new(&expect)?,
                timeout: timeout.0,
            }),
            CheckSpec::Function { .. }
            | CheckSpec::Rollout { .. }
            | CheckSpec::Claim { .. }
            | CheckSpec::CloudRun { .. }
            | CheckSpec::BigqueryRows { .. } => {
                return Err(Error::internal(
                    "a check was asked of the server that it does not answer",
                ));
            }
            CheckSpec::Http {
                url,
                status,
                contains,
                timeout,
            } => Self::Http(HttpCheck::new(&url, status, contains, timeout.0)?),
        })
    }

    /// What it is called in a verdict.
    fn name(&self) -> String {
        match self {
            Self::Counts(_) => "counts".into(),
            Self::Content(_) => "content".into(),
            Self::Tables(_) => "tables".into(),
            Self::Column(wanted) => wanted.name(),
            Self::EveryColumn { name, .. } => format!("every column {name}"),
            Self::Extension { name, .. } => format!("extension {name}"),
            Self::Sequences => "sequences".into(),
            Self::ForeignKeys => "foreign keys".into(),
            Self::Indexes => "indexes".into(),
            Self::Query(query) => query.name(),
            Self::Http(http) => http.name(),
        }
    }

    /// Rows may have changed since a database is in service; before it is, no service answers.
    fn applies(&self, live: bool) -> bool {
        match self {
            Self::Counts(_) | Self::Content(_) | Self::Query(_) => !live,
            Self::Http(_) => live,
            _ => true,
        }
    }
}

fn nothing_to_compare_with(name: String) -> Check {
    Check {
        name,
        looked_at: "nothing".to_owned(),
        outcome: Outcome::NotRun("there is no backup to compare with".to_owned()),
    }
}

#[async_trait]
impl Verifier for PgVerifier {
    async fn verify(&self, ctx: &Ctx, request: &VerifyRequest) -> Result<Verdict> {
        let look = Look::open(ctx, &self.endpoint, &request.db, self.jobs).await?;
        let mut verdict = Verdict::default();
        if request.live {
            // Where every other check is left out, this is still evidence: it is that database
            // which answers under the name.
            verdict.add("in service", request.db.to_string(), Outcome::Passed);
        }
        let checks = || self.checks.iter().filter(|c| c.applies(request.live));
        for check in checks() {
            ctx.check_stop("the verification")?;
            verdict
                .checks
                .extend(self.in_look(&look, check, request).await?);
        }
        // What follows may take long, and an open transaction keeps dead rows from being removed.
        look.close().await;
        for check in checks() {
            ctx.check_stop("the verification")?;
            verdict
                .checks
                .extend(self.after_look(ctx, check, request).await?);
        }
        Ok(verdict)
    }
}

#[cfg(test)]
mod tests;
