//! The conditions that must hold before anything is changed. Pure functions over the survey.

use super::{Refusal, RowsFrom, Rules, SchemaFrom, Survey, instance, refresh, replaced};
use crate::error::{Error, Result};
use crate::model::Obstacle;
use crate::traits::BackupMode;

/// Databases that are never a target.
const SYSTEM_DATABASES: [&str; 5] = [
    "postgres",
    "template0",
    "template1",
    "cloudsqladmin",
    "rdsadmin",
];

/// Room to keep beyond the copy itself, as a divisor of its size: WAL and sorts need some.
const SPARE: u64 = 5;

type Found = Vec<Refusal>;

/// Every guard that refuses, in the order they were asked.
pub(super) fn check(rules: &Rules<'_>, survey: &Survey) -> Vec<Refusal> {
    let guards: [fn(&Rules<'_>, &Survey) -> Found; 11] = [
        target,
        obstacles,
        rights,
        sessions,
        tools,
        disk,
        store,
        data_with_no_place,
        refresh::guard,
        replaced::guard,
        instance::guard,
    ];
    guards
        .iter()
        .flat_map(|guard| guard(rules, survey))
        .collect()
}

/// A refusal in one line.
pub(super) fn line(refusal: &Refusal) -> String {
    format!("{}: {}", refusal.guard, refusal.message)
}

/// Makes sure that no guard refuses.
///
/// # Errors
/// A refusal with every guard's message.
pub(super) fn require_none(refusals: &[Refusal]) -> Result<()> {
    let Some(first) = refusals.first() else {
        return Ok(());
    };
    let lines: Vec<String> = refusals.iter().map(line).collect();
    Err(Error::refused(format!(
        "the plan is refused by {} guard(s): {}",
        lines.len(),
        lines.join("; ")
    ))
    .hint(first.hint.clone()))
}

pub(super) fn refusal(guard: &str, message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    Refusal {
        guard: guard.to_owned(),
        message: message.into(),
        hint: hint.into(),
    }
}

fn target(_: &Rules<'_>, survey: &Survey) -> Found {
    let mut found = Vec::new();
    let database = &survey.inventory.database;
    let name = &database.identity.name;
    if SYSTEM_DATABASES.contains(&name.as_str()) || database.is_template {
        found.push(refusal(
            "target",
            format!("{name:?} is a system or template database"),
            "name the application's own database in target.url",
        ));
    }
    if survey.inventory.server.in_recovery {
        found.push(refusal(
            "target",
            "the server is a standby, which cannot be changed",
            "point target.url at the primary",
        ));
    }
    found
}

fn obstacles(_: &Rules<'_>, survey: &Survey) -> Found {
    survey
        .inventory
        .obstacles
        .iter()
        .map(|obstacle| match obstacle {
            Obstacle::PreparedTransaction { gid } => refusal(
                "obstacles",
                format!("the prepared transaction {gid:?} is open in the target"),
                "COMMIT PREPARED or ROLLBACK PREPARED it",
            ),
            Obstacle::LogicalSlot { slot, .. } => refusal(
                "obstacles",
                format!("the logical replication slot {slot:?} belongs to the target; its consumers would lose their place"),
                "stop its consumer and drop the slot, then make it again afterwards",
            ),
            Obstacle::Subscription { name } => refusal(
                "obstacles",
                format!("the subscription {name:?} writes to the target"),
                "disable and drop the subscription, then make it again afterwards",
            ),
            Obstacle::Pooler => refusal(
                "obstacles",
                "the connection goes through a pooler in transaction mode, where locks and snapshots mean nothing",
                "connect to the server itself",
            ),
            Obstacle::Invalid => refusal(
                "obstacles",
                "the target is left over from an interrupted DROP DATABASE",
                "it can only be dropped; restore a backup under its name",
            ),
        })
        .collect()
}

fn rights(rules: &Rules<'_>, survey: &Survey) -> Found {
    let rights = &survey.inventory.rights;
    if rights.superuser {
        return Vec::new();
    }
    let mut found = Vec::new();
    let role = &rights.role;
    if !rights.createdb {
        found.push(refusal(
            "rights",
            format!("role {role:?} may not create databases"),
            format!("ALTER ROLE {role:?} CREATEDB"),
        ));
    }
    if !rights.owns_database {
        let owner = &survey.inventory.database.owner;
        found.push(refusal(
            "rights",
            format!("role {role:?} does not own the target and may not rename it"),
            format!("GRANT {owner:?} TO {role:?}, or connect as {owner:?}"),
        ));
    }
    if rules.backup == BackupMode::Full && !rights.unreadable.is_empty() {
        let tables: Vec<String> = rights.unreadable.iter().map(ToString::to_string).collect();
        found.push(refusal(
            "rights",
            format!(
                "role {role:?} cannot read every row of {}",
                tables.join(", ")
            ),
            "grant SELECT on them (and BYPASSRLS where row-level security hides rows)",
        ));
    }
    if rules.schema == SchemaFrom::Backup && !rights.foreign_owned.is_empty() {
        found.push(refusal(
            "rights",
            format!(
                "role {role:?} could not make these again for their owners: {}",
                rights.foreign_owned.join(", ")
            ),
            format!("make {role:?} a member of the owning roles"),
        ));
    }
    if !survey.inventory.sessions.is_empty() && !rights.signal_backend {
        found.push(refusal(
            "rights",
            format!("role {role:?} may not end other roles' sessions"),
            format!("GRANT pg_signal_backend TO {role:?}"),
        ));
    }
    found
}

fn sessions(rules: &Rules<'_>, survey: &Survey) -> Found {
    let kept: Vec<String> = survey
        .inventory
        .sessions
        .iter()
        .filter(|s| !(rules.may_end)(s))
        .map(|s| {
            format!(
                "pid {} {:?} as {:?} from {}",
                s.pid, s.application, s.role, s.client
            )
        })
        .collect();
    if kept.is_empty() {
        return Vec::new();
    }
    vec![refusal(
        "sessions",
        format!(
            "these sessions would have to be ended, and the spec does not allow it: {}",
            kept.join("; ")
        ),
        "end them yourself, or set quiesce.end_sessions",
    )]
}

fn tools(_: &Rules<'_>, survey: &Survey) -> Found {
    let source = survey
        .source
        .as_ref()
        .map_or(0, |source| source.server_major);
    let server = survey.inventory.server.major().max(source);
    let mut found = Vec::new();
    for name in ["pg_dump", "pg_restore"] {
        match survey.tools.iter().find(|t| t.name == name) {
            None => found.push(refusal(
                "tools",
                format!("{name} was not found"),
                format!("install the PostgreSQL client programs, version {server} or later"),
            )),
            Some(tool) if tool.major < server => found.push(refusal(
                "tools",
                format!(
                    "{} is version {}, and the server is version {server}",
                    tool.path, tool.major
                ),
                format!("install the PostgreSQL client programs, version {server} or later"),
            )),
            Some(_) => {}
        }
    }
    found
}

/// The room that a copy of so many bytes needs.
pub(super) fn with_spare(bytes: u64) -> u64 {
    bytes + bytes / SPARE
}

/// What is always left on the disk of a server, in bytes: a load that would leave less is ended. A
/// server writes its log in files of 16 MiB, and begins some of them ahead.
pub(crate) const LEAST_LEFT: u64 = 64 << 20;

/// A second copy of the database has to fit beside the first; the backup has to fit into the
/// store. What cannot be known is a warning of the plan, not a refusal.
fn disk(rules: &Rules<'_>, survey: &Survey) -> Found {
    let mut found = Vec::new();
    let size = survey.inventory.database.bytes;
    let new = survey.source.as_ref().map_or(size, |source| source.bytes);
    let copy = with_spare(new) + LEAST_LEFT;
    // A new server brings its own disk.
    let here = replaced::whole(survey).is_none() && rules.rows != RowsFrom::Nowhere;
    if here && survey.server_free_bytes.is_some_and(|free| free < copy) {
        found.push(refusal(
            "disk",
            format!(
                "the server's disk has {} bytes free, and the new database needs about {copy}",
                survey.server_free_bytes.unwrap_or_default()
            ),
            "make room on the server, or purge what an earlier run retired: rebuild purge RUN --now",
        ));
    }
    if rules.backup == BackupMode::Full && survey.store_free_bytes.is_some_and(|free| free < size) {
        found.push(refusal(
            "disk",
            format!(
                "the store has {} bytes free, and the backup may need up to {size}",
                survey.store_free_bytes.unwrap_or_default()
            ),
            "make room in the store, or prune old backups: rebuild backups prune --keep-last N --yes",
        ));
    }
    found
}

fn store(_: &Rules<'_>, survey: &Survey) -> Found {
    if !survey.store_inside_target {
        return Vec::new();
    }
    vec![refusal(
        "store",
        "the store lies inside the server's own data directory, and would be lost with it",
        "put the store on another disk",
    )]
}

fn data_with_no_place(rules: &Rules<'_>, survey: &Survey) -> Found {
    let Some(drift) = survey
        .drift
        .as_ref()
        .filter(|_| rules.rows == RowsFrom::Backup)
    else {
        return Vec::new();
    };
    let mut lost: Vec<String> = survey
        .lost_tables()
        .filter(|(table, rows)| *rows != Some(0) && !(rules.may_drop)(table, None))
        .map(|(table, _)| table.to_string())
        .collect();
    for table in &drift.tables {
        let name = table.table.to_string();
        lost.extend(
            table
                .lost_columns
                .iter()
                .filter(|(column, _)| !(rules.may_drop)(&table.table, Some(column)))
                .map(|(column, _)| format!("{name}.{column}")),
        );
    }
    if lost.is_empty() {
        return Vec::new();
    }
    vec![refusal(
        "data",
        format!(
            "this data has no place in the new schema: {}",
            lost.join(", ")
        ),
        "add it to the schema files, or to restore.allow_dropped (it stays in the backup)",
    )]
}
