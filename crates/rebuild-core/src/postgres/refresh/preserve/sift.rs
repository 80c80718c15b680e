//! Finding the rows that cannot be put, without failing those that can.

use tokio_postgres::Statement;
use tokio_postgres::error::SqlState;

use super::site::{Site, failed};
use crate::error::clean;
use crate::error::{Error, Result};

/// A change that is made to rows by their numbers, as many as possible at once.
pub(super) struct Sieve {
    /// The smallest and the largest number, between `$1` and `$2`, of rows that wait for it.
    pub(super) span: String,
    /// Makes it for those between `$1` and `$2`; says how many rows were changed, and how many
    /// no longer wait. The two must be the same.
    pub(super) put: String,
    /// Parts of it, which are tried alone for the row `$1` to name the first that fails, and
    /// taken back.
    pub(super) parts: Vec<(String, String)>,
    /// Does without it for the row `$1`, for the reason `$2`. If the first way fails as well,
    /// there is the next; the last cannot fail.
    pub(super) refuse: Vec<String>,
}

/// Why rows were not changed.
enum Failure {
    /// It is about the rows.
    Rows(String),
    Fatal(Error),
}

impl Site<'_> {
    /// Makes the change for all that wait for it. Where it fails, it is tried again for each half
    /// of the rows, down to the single one, which is refused.
    ///
    /// # Errors
    /// The failure is not about rows.
    pub(super) async fn sift(&self, sieve: &Sieve) -> Result<()> {
        let put = self.prepare(&sieve.put).await?;
        let span = self.prepare(&sieve.span).await?;
        let mut refuse = Vec::new();
        for sql in &sieve.refuse {
            refuse.push(self.prepare(sql).await?);
        }
        let mut left = vec![(i64::MIN, i64::MAX)];
        while let Some((low, high)) = left.pop() {
            let asked = async {
                self.new
                    .query_one(&span, &[&low, &high])
                    .await
                    .map_err(failed)
            };
            let row = self.patiently(asked).await?;
            let (Some(low), Some(high)): (Option<i64>, Option<i64>) = (row.get(0), row.get(1))
            else {
                continue;
            };
            match self.attempt(&put, low, high).await {
                Ok(()) => {}
                Err(Failure::Fatal(e)) => return Err(e),
                Err(Failure::Rows(reason)) if low == high => {
                    let part = self.part(sieve, low).await?;
                    let reason = part.unwrap_or(reason);
                    self.refuse(&refuse, low, &reason).await?;
                }
                Err(Failure::Rows(_)) => {
                    let middle = low + (high - low) / 2;
                    left.push((middle + 1, high));
                    left.push((low, middle));
                }
            }
        }
        Ok(())
    }

    async fn prepare(&self, sql: &str) -> Result<Statement> {
        let prepared = async { self.new.prepare(sql).await.map_err(failed) };
        self.patiently(prepared).await
    }

    async fn attempt(&self, put: &Statement, low: i64, high: i64) -> Result<(), Failure> {
        let fatal = Failure::Fatal;
        self.run("savepoint sift").await.map_err(fatal)?;
        let ran = async { Ok(self.new.query_one(put, &[&low, &high]).await) };
        let ran = self.patiently(ran).await;
        let row = match ran.map_err(fatal)? {
            Ok(row) => row,
            Err(e) => {
                let Some(reason) = reason(&e) else {
                    return Err(fatal(failed(e)));
                };
                let back = "rollback to savepoint sift; release savepoint sift";
                self.run(back).await.map_err(fatal)?;
                return Err(Failure::Rows(reason));
            }
        };
        self.run("release savepoint sift").await.map_err(fatal)?;
        let (changed, meant): (i64, i64) = (row.get(0), row.get(1));
        if changed == meant {
            return Ok(());
        }
        Err(fatal(Error::internal(format!(
            "{changed} preserved rows were put where {meant} were meant"
        ))))
    }

    /// The part that fails, and why.
    async fn part(&self, sieve: &Sieve, row: i64) -> Result<Option<String>> {
        for (name, sql) in &sieve.parts {
            self.run("savepoint sift").await?;
            let ran = async { Ok(self.new.execute(sql, &[&row]).await) };
            let why = self.patiently(ran).await?.err().and_then(|e| reason(&e));
            self.run("rollback to savepoint sift; release savepoint sift")
                .await?;
            if let Some(why) = why {
                return Ok(Some(clean(&format!("{why} of column {name}"))));
            }
        }
        Ok(None)
    }

    async fn refuse(&self, ways: &[Statement], row: i64, why: &str) -> Result<()> {
        for way in ways {
            self.run("savepoint sift").await?;
            let ran = async { Ok(self.new.execute(way, &[&row, &why]).await) };
            match self.patiently(ran).await? {
                Ok(_) => return self.run("release savepoint sift").await,
                Err(e) if reason(&e).is_none() => return Err(failed(e)),
                Err(_) => {
                    let back = "rollback to savepoint sift; release savepoint sift";
                    self.run(back).await?;
                }
            }
        }
        Err(Error::internal("a row could not even be left out"))
    }
}

/// What a failure says about rows, without their values, if it is about rows
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn reason(e: &tokio_postgres::Error) -> Option<String> {
    let error = e.as_db_error()?;
    let code = error.code();
    // Data, constraints, external routines, checks of views, and what functions raise.
    let of_rows = ["22", "23", "38", "39", "44", "P0"];
    if !of_rows.contains(&&code.code()[..2]) && *code != SqlState::PROGRAM_LIMIT_EXCEEDED {
        return None;
    }
    let condition = condition(code);
    let of = if let Some(name) = error.constraint() {
        format!("{condition} of constraint {name}")
    } else if let Some(name) = error.column() {
        format!("{condition} of column {name}")
    } else {
        condition
    };
    Some(clean(&of))
}

/// The name of a condition, as the server's manual has it.
fn condition(code: &SqlState) -> String {
    let name = match code.code() {
        "22001" => "string_data_right_truncation",
        "22003" => "numeric_value_out_of_range",
        "22007" => "invalid_datetime_format",
        "22008" => "datetime_field_overflow",
        "22021" => "character_not_in_repertoire",
        "22P02" => "invalid_text_representation",
        "22P05" => "untranslatable_character",
        "2200H" => "sequence_generator_limit_exceeded",
        "23001" => "restrict_violation",
        "23502" => "not_null_violation",
        "23503" => "foreign_key_violation",
        "23505" => "unique_violation",
        "23514" => "check_violation",
        "23P01" => "exclusion_violation",
        "44000" => "with_check_option_violation",
        "54000" => "program_limit_exceeded",
        "P0001" => "raise_exception",
        other => return format!("SQLSTATE {other}"),
    };
    name.to_owned()
}
