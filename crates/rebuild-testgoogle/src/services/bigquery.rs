//! BigQuery: tables that are a number of rows, and queries that count them.
//! <https://cloud.google.com/bigquery/docs/reference/rest>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::call::{Answer, Call, Result};
use crate::error::ApiError;
use crate::google::Google;
use crate::state::{State, lock};

/// All tables and what is asked of them.
#[derive(Debug, Default)]
pub(crate) struct BigQuery(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The location and the rows, by `project.dataset.table`.
    tables: BTreeMap<String, (String, u64)>,
    /// The results of queries that were not complete at once.
    results: BTreeMap<String, Value>,
    slow: bool,
}

pub(crate) fn register(state: &Arc<State>) -> Arc<BigQuery> {
    let bigquery = Arc::new(BigQuery::default());
    let registry = &state.registry;
    registry.on("bigquery.jobs.query", &bigquery, query);
    registry.on("bigquery.jobs.getQueryResults", &bigquery, results);
    registry.on("bigquery.tables.get", &bigquery, get);
    registry.on("bigquery.tables.delete", &bigquery, delete);
    bigquery
}

impl Google {
    /// Makes a table of BigQuery with so many rows, or gives the one that is there so many.
    pub fn set_bigquery_rows(&self, location: &str, dataset: &str, table: &str, rows: u64) {
        let name = format!("{}.{dataset}.{table}", self.project());
        let mut kept = lock(&self.services.bigquery.0);
        kept.tables.insert(name, (location.to_owned(), rows));
    }

    /// How many rows a table of BigQuery has, if it is there.
    pub fn bigquery_rows(&self, dataset: &str, table: &str) -> Option<u64> {
        let name = format!("{}.{dataset}.{table}", self.project());
        let kept = lock(&self.services.bigquery.0);
        kept.tables.get(&name).map(|(_, rows)| *rows)
    }

    /// From here on no query is complete with its first answer.
    pub fn slow_queries(&self) {
        lock(&self.services.bigquery.0).slow = true;
    }
}

async fn query(bigquery: Arc<BigQuery>, call: Call) -> Result {
    let project = call.param("projectId");
    let mut kept = lock(&bigquery.0);
    if call.body["useLegacySql"] != false {
        return Err(ApiError::new(400, "Legacy SQL is not spoken here.").reason("invalidQuery"));
    }
    let table = counted(call.text("/query"))?;
    let found = kept.tables.get(&table);
    let here = |there: &str| there.eq_ignore_ascii_case(call.text("/location"));
    let Some((location, rows)) = found.filter(|(location, _)| here(location)) else {
        let place = call.text("/location");
        let said = format!("Not found: Table {table} was not found in location {place}");
        return Err(ApiError::new(404, said));
    };
    let job = Uuid::new_v4().to_string();
    let reference = json!({"projectId": project, "jobId": job, "location": location});
    let done = json!({
        "schema": {"fields": [{"name": "f0_", "type": "INTEGER", "mode": "NULLABLE"}]},
        "jobReference": reference, "totalRows": "1", "jobComplete": true,
        "rows": [{"f": [{"v": rows.to_string()}]}], "totalBytesProcessed": "0", "cacheHit": false,
    });
    let mut answer = if kept.slow {
        kept.results.insert(job, done);
        json!({"jobReference": reference, "jobComplete": false})
    } else {
        done
    };
    answer["kind"] = "bigquery#queryResponse".into();
    Ok(answer.into())
}

/// The table whose rows a query counts, and that is all that a query may do here.
fn counted(query: &str) -> Result<String> {
    let lower = query.to_lowercase();
    let name = lower
        .trim()
        .strip_prefix("select count(*) from `")
        .and_then(|rest| rest.strip_suffix('`'));
    match name {
        Some(name) => {
            // As it was written.
            let start = lower.find('`').unwrap_or(0) + 1;
            let trimmed = query.trim_start();
            Ok(trimmed[start - (query.len() - trimmed.len())..][..name.len()].to_owned())
        }
        None => Err(ApiError::new(400, format!("Syntax error: {query}")).reason("invalidQuery")),
    }
}

async fn results(bigquery: Arc<BigQuery>, call: Call) -> Result {
    let found = lock(&bigquery.0).results.get(call.param("jobId")).cloned();
    let mut found = found.ok_or_else(|| ApiError::new(404, "Not found: Job"))?;
    found["kind"] = "bigquery#getQueryResultsResponse".into();
    Ok(found.into())
}

fn name(call: &Call) -> String {
    let [project, dataset, table] = ["projectId", "datasetId", "tableId"].map(|n| call.param(n));
    format!("{project}.{dataset}.{table}")
}

fn not_found(call: &Call) -> ApiError {
    ApiError::new(404, format!("Not found: Table {}", name(call)))
}

async fn get(bigquery: Arc<BigQuery>, call: Call) -> Result {
    let kept = lock(&bigquery.0);
    let found = kept.tables.get(&name(&call));
    let (location, rows) = found.ok_or_else(|| not_found(&call))?;
    let [project, dataset, table] = ["projectId", "datasetId", "tableId"].map(|n| call.param(n));
    let value = json!({
        "kind": "bigquery#table", "id": format!("{project}:{dataset}.{table}"), "type": "TABLE",
        "tableReference": {"projectId": project, "datasetId": dataset, "tableId": table},
        "location": location, "numRows": rows.to_string(),
    });
    Ok(value.into())
}

async fn delete(bigquery: Arc<BigQuery>, call: Call) -> Result {
    let gone = lock(&bigquery.0).tables.remove(&name(&call));
    gone.ok_or_else(|| not_found(&call))?;
    Ok(Answer::Nothing)
}
