//! `bigquery` of an `[[after]]`: scheduled queries that are run now.

use schemars::JsonSchema;
use serde::Deserialize;

use super::CommandSpec;
use super::gcp::part;
use crate::error::{Error, Result};

/// `[after.bigquery]`: scheduled queries of BigQuery that are run now, one after the other.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BigQuerySpec {
    /// Where they are, for example `eu` or `europe-west1`.
    pub location: String,
    /// Which, in this order.
    pub backfill: Vec<BackfillSpec>,
    /// What is done where a query fails because its table has another number of columns: the table is
    /// deleted, these steps are run in this order, and the query is run again, once.
    #[serde(default)]
    pub remedy: Vec<CommandSpec>,
}

/// `[[after.bigquery.backfill]]`: a scheduled query.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackfillSpec {
    /// Its display name, or the full name `projects/…/locations/…/transferConfigs/…`.
    pub config: String,
    /// The table that it fills, `dataset.table`. With a remedy, it is the one that may be deleted.
    #[serde(default)]
    pub table: Option<String>,
}

/// Checks the queries and the names; the steps of the remedy are commands like others.
///
/// # Errors
/// The first thing that does not fit, with its key.
pub(super) fn check_queries(key: &str, bigquery: &BigQuerySpec) -> Result<()> {
    let wrong = |name: &str, why: &str| Err(Error::usage(format!("{key}.{name}: {why}")));
    part(&format!("{key}.location"), &bigquery.location)?;
    if bigquery.backfill.is_empty() {
        return wrong("backfill", "names no scheduled query");
    }
    for (place, backfill) in bigquery.backfill.iter().enumerate() {
        let earlier = &bigquery.backfill[..place];
        if earlier.iter().any(|other| other.config == backfill.config) {
            // Its run would be taken for the second one's.
            return wrong(
                "backfill.config",
                &format!("{:?} is named twice", backfill.config),
            );
        }
        if backfill.config.is_empty() {
            return wrong("backfill.config", "is empty");
        }
        match &backfill.table {
            Some(table) => check_table(&format!("{key}.backfill.table"), table)?,
            None if !bigquery.remedy.is_empty() => {
                let why = "a remedy deletes the query's table, so it must be named";
                return wrong("backfill.table", why);
            }
            None => {}
        }
    }
    match bigquery.remedy.iter().find(|step| step.bigquery.is_some()) {
        Some(step) => wrong(
            "remedy",
            &format!(
                "{:?} has a bigquery of its own; a remedy has none",
                step.name
            ),
        ),
        None => Ok(()),
    }
}

/// Makes sure that `text` is `dataset.table`
/// (<https://cloud.google.com/bigquery/docs/tables#table_naming>).
///
/// # Errors
/// It is not, or has letters that would have to be quoted.
pub(super) fn check_table(key: &str, text: &str) -> Result<()> {
    let fits = |name: &str| {
        let may = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        !name.is_empty() && name.chars().all(may)
    };
    match text.split_once('.') {
        Some((dataset, table)) if fits(dataset) && fits(table) => Ok(()),
        _ => Err(Error::usage(format!(
            "{key}: {text:?} is not dataset.table"
        ))),
    }
}
