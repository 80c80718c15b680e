//! A query, read-only, gives what is expected.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

use super::amount::{amount, excerpt};
use super::answer::{Answer, Comparison};
use super::look::{Look, set_limits};
use crate::error::Result;
use crate::model::{Check, Outcome};
use crate::postgres::server_error;

/// A query and what it must give.
#[derive(Clone, Debug)]
pub(super) struct QueryCheck {
    /// The query.
    pub(super) sql: String,
    /// What it must give.
    pub(super) answer: Answer,
    /// How long it may take.
    pub(super) timeout: Duration,
}

impl QueryCheck {
    /// `query select count(*) from public.t`
    pub(super) fn name(&self) -> String {
        let words: Vec<&str> = self.sql.split_whitespace().collect();
        format!("query {}", excerpt(&words.join(" "), 60))
    }
}

/// Runs the query and compares what it gives, as text, with what is expected.
///
/// It runs in the read-only transaction of the look. It is parsed first by itself, so that it is
/// one statement that gives rows: none that ends the transaction, and none that follows one.
///
/// # Errors
/// The connection is lost. That the query fails is a failed check.
pub(super) async fn query(look: &Look<'_>, check: &QueryCheck) -> Result<Check> {
    set_limits(look.session(), check.timeout).await?;
    let name = check.name();
    let mut comparison = Comparison::new(&check.answer);
    let ran = look
        .wait(&name, async { Ok(run(look, check, &mut comparison).await) })
        .await?;
    let rows = u64::try_from(comparison.rows()).unwrap_or(u64::MAX);
    let outcome = match ran {
        Ok(true) => {
            let lines = comparison.finish();
            if lines.is_empty() {
                Outcome::Passed
            } else {
                Outcome::Failed(lines)
            }
        }
        Ok(false) => Outcome::Failed(vec![
            "expected a query, found a statement that gives no rows; it was not run".into(),
        ]),
        Err(e) => failure(check, e)?,
    };
    Ok(Check {
        name,
        looked_at: amount(rows, "row", "rows"),
        outcome,
    })
}

/// False if it gives no rows. The simple protocol gives every value as the server writes it,
/// which is what psql prints.
async fn run(
    look: &Look<'_>,
    check: &QueryCheck,
    comparison: &mut Comparison<'_>,
) -> Result<bool, tokio_postgres::Error> {
    let parsed = look.session().prepare(&check.sql).await?;
    if parsed.columns().is_empty() || !parsed.params().is_empty() {
        return Ok(false);
    }
    let stream = look.session().simple_query_raw(&check.sql).await?;
    let mut stream = std::pin::pin!(stream.into_stream().fuse());
    while let Some(message) = stream.next().await.transpose()? {
        if let SimpleQueryMessage::Row(row) = message {
            let values = (0..row.len())
                .map(|at| row.try_get(at))
                .collect::<Result<Vec<_>, _>>()?;
            comparison.add(&values);
        }
    }
    Ok(true)
}

fn failure(check: &QueryCheck, e: tokio_postgres::Error) -> Result<Outcome> {
    let code = e.code().cloned();
    let error = server_error("the query failed", e);
    let Some(code) = code else {
        return Err(error);
    };
    if code == SqlState::INSUFFICIENT_PRIVILEGE {
        return Ok(Outcome::NotRun(error.chain()));
    }
    let mut line = error.chain();
    if code == SqlState::QUERY_CANCELED {
        line = format!("it did not end within {:?}: {line}", check.timeout);
    }
    if code == SqlState::UNDEFINED_TABLE || code == SqlState::UNDEFINED_FUNCTION {
        line.push_str("; names need their schema, because search_path is empty");
    }
    Ok(Outcome::Failed(vec![line]))
}
