//! Tables of BigQuery.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use google_cloud_bigquery_v2::client::{JobService, TableService};
use google_cloud_bigquery_v2::model::{GetQueryResultsResponse, QueryRequest, QueryResponse};
use google_cloud_wkt::Struct;

use crate::error::{Error, ErrorKind, Result};
use crate::event::Ctx;
use crate::google::{Google, GoogleApi, Seen, no_client};

/// How long one answer to a query may take; then one asks for its result.
const ANSWER_WITHIN: u32 = 10_000;

/// A table, by its dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableId {
    /// The dataset.
    pub dataset: String,
    /// The table.
    pub table: String,
}

impl FromStr for TableId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('.') {
            Some((dataset, table)) => Ok(Self {
                dataset: dataset.to_owned(),
                table: table.to_owned(),
            }),
            None => Err(Error::usage(format!("{text:?} is not dataset.table"))),
        }
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.dataset, self.table)
    }
}

/// BigQuery in a project.
#[derive(Clone, Debug)]
pub struct BigQuery {
    google: Google,
    jobs: JobService,
    tables: TableService,
}

impl BigQuery {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// There is no client.
    pub async fn open(google: &Google) -> Result<Self> {
        let api = GoogleApi::BigQuery;
        let refused = |e| no_client(api, &e);
        let jobs = google.configure(api, JobService::builder()).build().await;
        let tables = google.configure(api, TableService::builder()).build().await;
        Ok(Self {
            google: google.clone(),
            jobs: jobs.map_err(refused)?,
            tables: tables.map_err(refused)?,
        })
    }

    /// How many rows a table has.
    ///
    /// # Errors
    /// There is no such table, or its rows may not be read; the query did not end within `limit`.
    pub async fn count(
        &self,
        ctx: &Ctx,
        table: &TableId,
        location: &str,
        limit: Duration,
    ) -> Result<u64> {
        let project = self.google.project();
        let what = format!("could not count the rows of {table} in BigQuery");
        let query = QueryRequest::new()
            .set_query(format!("SELECT count(*) FROM `{project}.{table}`"))
            .set_use_legacy_sql(false)
            .set_location(location)
            .set_timeout_ms(ANSWER_WITHIN)
            // So that a query whose answer was lost is not made twice.
            .set_request_id(uuid::Uuid::new_v4().to_string());
        let request = || {
            let request = self.jobs.query().set_project_id(project);
            request.set_query_request(query.clone()).send()
        };
        let api = GoogleApi::BigQuery;
        let asked = self.google.ask(ctx, api, &what, request).await?;
        let row = match is_complete(&asked) {
            true => asked.rows.into_iter().next(),
            false => {
                let rows = self.result(ctx, &what, &asked, limit).await?.rows;
                rows.into_iter().next()
            }
        };
        row.as_ref().and_then(first_number).ok_or_else(|| {
            let why = "the answer holds no number";
            Error::new(ErrorKind::Server, what).caused_by(Error::new(ErrorKind::Server, why))
        })
    }

    /// Waits for the end of a query.
    async fn result(
        &self,
        ctx: &Ctx,
        what: &str,
        asked: &QueryResponse,
        limit: Duration,
    ) -> Result<GetQueryResultsResponse> {
        let (google, api) = (&self.google, GoogleApi::BigQuery);
        let job = asked.job_reference.clone().unwrap_or_default();
        let location = job.location.clone().unwrap_or_default();
        let ended = google.wait(ctx, "the count", limit, || async {
            let request = || {
                let request = self.jobs.get_query_results().set_job_id(&job.job_id);
                let request = request.set_project_id(&job.project_id);
                let request = request.set_location(location.clone());
                request.set_timeout_ms(ANSWER_WITHIN).send()
            };
            let now = google.ask(ctx, api, what, request).await?;
            Ok(match now.job_complete.unwrap_or_default() {
                true => Seen::Done(now),
                false => Seen::NotYet(String::new()),
            })
        });
        ended.await
    }

    /// Deletes a table with its rows.
    ///
    /// *Repeats:* one that is gone stays gone. *Destroys:* its rows.
    ///
    /// # Errors
    /// It may not be deleted.
    pub async fn delete(&self, ctx: &Ctx, table: &TableId) -> Result<()> {
        let what = format!("could not delete the table {table} of BigQuery");
        let request = || {
            let request = self.tables.delete_table();
            let request = request.set_project_id(self.google.project());
            let request = request.set_dataset_id(&table.dataset);
            request.set_table_id(&table.table).send()
        };
        let api = GoogleApi::BigQuery;
        let deleted = self.google.ask_maybe(ctx, api, &what, request).await?;
        if deleted.is_none() {
            let gone = format!("there is no table {table} in BigQuery to delete");
            ctx.events.info(gone);
        }
        Ok(())
    }
}

fn is_complete(asked: &QueryResponse) -> bool {
    asked.job_complete.unwrap_or_default()
}

/// The number in the first column of a row
/// (<https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/query#body.QueryResponse.FIELDS.rows>).
fn first_number(row: &Struct) -> Option<u64> {
    let value = &row.get("f")?.get(0)?["v"];
    match value.as_str() {
        Some(text) => text.parse().ok(),
        None => value.as_u64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_text_in_the_first_column() {
        let row = |text: &str| -> Struct { serde_json::from_str(text).expect("a row") };
        assert_eq!(first_number(&row(r#"{"f": [{"v": "42"}]}"#)), Some(42));
        assert_eq!(first_number(&row(r#"{"f": [{"v": null}]}"#)), None);
        assert_eq!(first_number(&row(r#"{"f": []}"#)), None);
    }
}
