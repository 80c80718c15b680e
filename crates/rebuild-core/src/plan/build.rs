//! From the spec's rules and the survey to a plan. Pure: the same input gives the same plan.

use serde::Serialize;

use super::steps::steps;
use super::{
    PLAN_VERSION, Plan, RowsFrom, Rules, SchemaFrom, Strategy, Survey, gcp, guards, infrastructure,
    instance, refresh, releases, replaced, values,
};
use crate::error::{Error, Result};
use crate::model::{ReplacedInstance, ReplacedServer, TableKind};
use crate::traits::{AppliedFile, BackupMode};

impl Plan {
    /// The plan for `rules` in the state that `survey` found.
    ///
    /// # Errors
    /// Never in practice; the survey has a JSON form to make the digest from.
    pub fn build(rules: &Rules<'_>, survey: Survey) -> Result<Self> {
        Ok(Self {
            version: PLAN_VERSION,
            target: survey.inventory.database.identity.clone(),
            endpoint: rules.endpoint.to_owned(),
            environment: rules.environment.map(ToOwned::to_owned),
            strategy: rules.strategy,
            steps: steps(rules, &survey),
            losses: losses(rules, &survey),
            warnings: warnings(rules, &survey),
            refusals: guards::check(rules, &survey),
            needs_confirmation: rules.is_production()
                || survey.says_production()
                || survey.destroys_data(),
            spec_digest: rules.spec_digest.to_owned(),
            digest: digest(rules, &survey)?,
            survey,
        })
    }
}

/// What must not change between the plan and the run. Row counts and sessions are not in it:
/// they change all the time, and the guards look at them again. The drift is in it by the hashes
/// of its two sides.
fn digest(rules: &Rules<'_>, survey: &Survey) -> Result<String> {
    #[derive(Serialize)]
    struct State<'a> {
        spec: &'a str,
        server: &'a str,
        server_version: u32,
        server_at: (&'a str, Option<&'a str>),
        uid: &'a str,
        name: &'a str,
        schema: &'a str,
        new_schema: Option<&'a str>,
        source: Option<(&'a str, &'a str)>,
        files: &'a [AppliedFile],
        fixtures: &'a [AppliedFile],
        tools: Vec<(&'a str, u32)>,
        replaced: Option<&'a ReplacedServer>,
        instance: Option<&'a ReplacedInstance>,
        infrastructure: Vec<(&'a str, &'a str)>,
    }
    let identity = &survey.inventory.database.identity;
    let state = State {
        spec: rules.spec_digest,
        server: &identity.server,
        server_version: survey.inventory.server.version_num,
        server_at: (
            &survey.inventory.server.address,
            survey.inventory.server.data_directory.as_deref(),
        ),
        uid: &identity.uid,
        name: &identity.name,
        schema: &survey.schema_hash,
        new_schema: survey.new_schema_hash.as_deref(),
        source: survey.source.as_ref().map(|source| {
            let identity = &source.identity;
            (identity.server.as_str(), identity.uid.as_str())
        }),
        files: &survey.schema.files,
        fixtures: &survey.fixtures,
        tools: survey
            .tools
            .iter()
            .map(|t| (t.path.as_str(), t.major))
            .collect(),
        replaced: survey.cluster.as_ref().and_then(|c| c.replaced.as_ref()),
        instance: survey.instance.as_ref().and_then(|i| i.replaced.as_ref()),
        infrastructure: infrastructure::digests(survey),
    };
    let bytes = serde_json::to_vec(&state)
        .map_err(|e| Error::internal("the state has no JSON form").caused_by(e))?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

/// An estimate, for people.
pub(super) fn rows_about(rows: Option<u64>) -> String {
    rows.map_or_else(
        || "an unknown number of rows".to_owned(),
        |n| format!("about {n} rows"),
    )
}

fn losses(rules: &Rules<'_>, survey: &Survey) -> Vec<String> {
    let inventory = &survey.inventory;
    let mut losses: Vec<String> = inventory
        .sessions
        .iter()
        .map(|s| {
            format!(
                "session ended: pid {} {:?} as {:?} from {} ({})",
                s.pid, s.application, s.role, s.client, s.state
            )
        })
        .collect();
    losses.extend(replaced::losses(survey));
    if rules.rows != RowsFrom::Backup {
        losses.push(format!(
            "the rows of {:?} are not carried over; they stay in the retired database{}",
            inventory.database.identity.name,
            if rules.backup == BackupMode::Full {
                " and in the backup"
            } else {
                ""
            }
        ));
        match rules.rows {
            RowsFrom::Nowhere | RowsFrom::Backup => {}
            RowsFrom::Source => losses.extend(refresh::losses(survey)),
            RowsFrom::Csv(folder) => losses.push(format!(
                "the new rows are those of the CSV files in {folder:?}, without large objects; \
                 they are not compared with the backup"
            )),
            RowsFrom::Function(function) => losses.push(format!(
                "the new rows are those that {function} restores; they are not compared with the \
                 backup"
            )),
        }
    }
    losses.extend(values::left_behind(rules, survey));
    if let (RowsFrom::Backup, Some(drift)) = (rules.rows, &survey.drift) {
        for (table, rows) in survey.lost_tables() {
            losses.push(format!(
                "no place in the new schema: table {table} with {}",
                rows_about(rows)
            ));
        }
        for table in &drift.tables {
            for (column, kind) in &table.lost_columns {
                losses.push(format!(
                    "no place in the new schema: column {}.{column} ({kind})",
                    table.table
                ));
            }
        }
    }
    losses.extend(gcp::losses(survey));
    losses.extend(infrastructure::losses(survey));
    losses
}

fn warnings(rules: &Rules<'_>, survey: &Survey) -> Vec<String> {
    let inventory = &survey.inventory;
    let mut warnings = Vec::new();
    let mut of_kind = |kind: TableKind, text: &str| {
        for table in inventory.tables.iter().filter(|t| t.kind == kind) {
            warnings.push(format!("{} {text}", table.table));
        }
    };
    of_kind(
        TableKind::Foreign,
        "is a foreign table: its rows live elsewhere and are not backed up",
    );
    of_kind(
        TableKind::Unlogged,
        "is unlogged: its rows would not outlive a crash of the server",
    );
    let here = replaced::whole(survey).is_none();
    if here && survey.server_free_bytes.is_none() && rules.rows != RowsFrom::Nowhere {
        warnings.push(format!(
            "the free space on the server cannot be seen from here; the new database needs about {} bytes",
            inventory.database.bytes
        ));
    }
    if inventory.server.standbys > 0 {
        warnings.push(format!(
            "{} standby(s) stream from this server and will receive the whole new database",
            inventory.server.standbys
        ));
    }
    if let (Some(then), Some(now)) = &inventory.database.collation_versions
        && then != now
    {
        warnings.push(format!(
            "the collation library is version {now}, and was {then} when the database was made; the rebuild sorts its indexes anew"
        ));
    }
    warnings.extend(rules.unverified_tls.iter().map(|key| {
        format!("{key}: whoever stands in between can pose as the server, for its certificate is not verified")
    }));
    if rules.backup != BackupMode::Full {
        warnings.push(
            "the backup does not hold the rows: until it is purged, the retired database is their only copy".to_owned(),
        );
    }
    if rules.strategy == Strategy::InPlace {
        warnings.push(
            "in place: clients are shut out, or see a half-built database, until the end"
                .to_owned(),
        );
    }
    warnings.extend(releases::warnings(survey));
    warnings.extend(replaced::warnings(survey));
    warnings.extend(instance::warnings(survey));
    warnings.extend(gcp::warnings(survey));
    warnings.extend(infrastructure::warnings(survey));
    warnings.extend(migrations(rules, survey));
    warnings.extend(values::warnings(rules, survey));
    let source = survey.source.iter();
    warnings.extend(source.flat_map(|source| source.notes.clone()));
    for file in &survey.schema.changed {
        warnings.push(format!(
            "schema file {file} changed after it was applied to the target"
        ));
    }
    warnings
}

/// What the versions say that migration tools record in the live and in the new schema.
fn migrations(rules: &Rules<'_>, survey: &Survey) -> Option<String> {
    if !matches!(rules.schema, SchemaFrom::Command | SchemaFrom::Function) {
        return None;
    }
    let drift = survey.drift.as_ref()?;
    let (tool, version) = survey.schema.migration.as_ref()?;
    match &survey.new_migration {
        None => Some(format!(
            "{tool} records {version} in the live database, and the new one has no migration \
             tool's table"
        )),
        Some((new, _)) if new != tool => Some(format!(
            "the live database was migrated by {tool}, and the new one is by {new}"
        )),
        Some((_, new)) if new == version && !drift.is_empty() => Some(format!(
            "{tool} is at {version} on both sides, and the schemas differ: the live one was \
             changed by hand, or a migration after it was applied"
        )),
        Some(_) => None,
    }
}
