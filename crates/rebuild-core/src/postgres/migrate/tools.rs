//! The migration tools whose records can be read: how their table looks, and what it says.

/// A migration tool.
#[derive(Debug)]
pub(super) struct Tool {
    /// Its name.
    pub(super) name: &'static str,
    /// The name of its table, where the columns alone do not tell. The tools without one let
    /// their users choose another name.
    pub(super) table: Option<&'static str>,
    /// All columns of its table, sorted.
    pub(super) columns: &'static [&'static str],
    /// A table that stands beside it, where that tells two tools apart.
    pub(super) beside: Option<&'static str>,
    /// A query over `{t}` for a migration that failed or was left half done.
    pub(super) unfinished: Option<&'static str>,
    /// What repairs that.
    pub(super) repair: &'static str,
    /// A query over `{t}` for the version; no row or null where nothing was applied.
    pub(super) version: &'static str,
    /// A query over `{t}` for every migration that is applied, with its checksum where there is one.
    /// `None` where only the newest is recorded.
    pub(super) applied: Option<&'static str>,
}

const VERSIONS: &str = "select version::pg_catalog.text, null::pg_catalog.text from {t}";

/// The version of the tools that number by one column of text or of digits.
const NEWEST_TEXT: &str = "select version::pg_catalog.text from {t}
    order by pg_catalog.length(version::pg_catalog.text) desc,
             version::pg_catalog.text collate \"C\" desc limit 1";

/// Every tool. Of those that match a table, the first is meant.
pub(super) const TOOLS: &[Tool] = &[
    // https://alembic.sqlalchemy.org/en/latest/branches.html: one row for each head.
    Tool {
        name: "alembic",
        table: None,
        columns: &["version_num"],
        beside: None,
        unfinished: None,
        repair: "",
        version: "select pg_catalog.string_agg(version_num, ',' order by version_num collate \"C\")
                    from {t}",
        applied: None,
    },
    // The last migration of each application; the digest tells of one that is missing in between.
    Tool {
        name: "Django",
        table: Some("django_migrations"),
        columns: &["app", "applied", "id", "name"],
        beside: None,
        unfinished: None,
        repair: "",
        version: "select pg_catalog.string_agg(last, ',' order by last collate \"C\") || ' '
                         || pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(
                              pg_catalog.convert_to(pg_catalog.string_agg(
                                  names, ',' order by last collate \"C\"), 'UTF8')), 'hex'), 12)
                    from (select app || '.' || pg_catalog.max(name collate \"C\") as last,
                                 pg_catalog.string_agg(app || '.' || name, ','
                                     order by name collate \"C\") as names
                            from {t} group by app) apps",
        applied: Some("select app || '.' || name, null::pg_catalog.text from {t}"),
    },
    // https://documentation.red-gate.com/flyway/reference/tables/flyway-schema-history-table.
    // What was undone or deleted has a later row of the same version. Repeatables have none.
    Tool {
        name: "Flyway",
        table: None,
        columns: &[
            "checksum",
            "description",
            "execution_time",
            "installed_by",
            "installed_on",
            "installed_rank",
            "script",
            "success",
            "type",
            "version",
        ],
        beside: None,
        unfinished: Some(
            "select script::pg_catalog.text from {t} where not success
              order by installed_rank limit 1",
        ),
        repair: "undo what it did by hand, then flyway repair",
        version: "select version::pg_catalog.text
                    from (select distinct on (version) version, type, installed_rank
                            from {t} where version is not null and success
                           order by version, installed_rank desc) latest
                   where type not like 'UNDO%' and type <> 'DELETE'
                   order by installed_rank desc limit 1",
        applied: Some(
            "select coalesce(version, 'R') || ' ' || script, checksum::pg_catalog.text
               from (select distinct on (coalesce(version, script)) *
                       from {t} where success
                      order by coalesce(version, script), installed_rank desc) latest
              where type not like 'UNDO%' and type not in ('DELETE', 'SCHEMA', 'BASELINE')",
        ),
    },
    Tool {
        name: "sqlx",
        table: None,
        columns: &[
            "checksum",
            "description",
            "execution_time",
            "installed_on",
            "success",
            "version",
        ],
        beside: None,
        unfinished: Some(
            "select version::pg_catalog.text || ' ' || description from {t} where not success
              order by version limit 1",
        ),
        repair: "undo what it did by hand, then delete its row",
        version: "select pg_catalog.max(version)::pg_catalog.text from {t}",
        applied: Some(
            "select version::pg_catalog.text || ' ' || description,
                    pg_catalog.encode(checksum, 'hex') from {t}",
        ),
    },
    Tool {
        name: "refinery",
        table: None,
        columns: &["applied_on", "checksum", "name", "version"],
        beside: None,
        unfinished: None,
        repair: "",
        version: "select pg_catalog.max(version)::pg_catalog.text from {t}",
        applied: Some(
            "select pg_catalog.concat_ws(' ', version, name), checksum::pg_catalog.text from {t}",
        ),
    },
    // A migration that was marked as rolled back has another row once it was applied again.
    Tool {
        name: "Prisma",
        table: None,
        columns: &[
            "applied_steps_count",
            "checksum",
            "finished_at",
            "id",
            "logs",
            "migration_name",
            "rolled_back_at",
            "started_at",
        ],
        beside: None,
        unfinished: Some(
            "select migration_name::pg_catalog.text from {t}
              where finished_at is null and rolled_back_at is null
              order by started_at, migration_name collate \"C\" limit 1",
        ),
        repair: "prisma migrate resolve",
        version: "select pg_catalog.max(migration_name collate \"C\") from {t}
                   where finished_at is not null and rolled_back_at is null",
        applied: Some(
            "select migration_name::pg_catalog.text, checksum::pg_catalog.text from {t}
              where finished_at is not null and rolled_back_at is null",
        ),
    },
    // https://github.com/golang-migrate/migrate/blob/master/GETTING_STARTED.md#forcing-your-database-version
    Tool {
        name: "golang-migrate",
        table: Some("schema_migrations"),
        columns: &["dirty", "version"],
        beside: None,
        unfinished: Some("select version::pg_catalog.text from {t} where dirty limit 1"),
        repair: "undo what it did by hand, then migrate force with the version before it",
        version: "select pg_catalog.max(version)::pg_catalog.text from {t}",
        applied: None,
    },
    Tool {
        name: "Rails",
        table: Some("schema_migrations"),
        columns: &["version"],
        beside: Some("ar_internal_metadata"),
        unfinished: None,
        repair: "",
        version: NEWEST_TEXT,
        applied: Some(VERSIONS),
    },
    Tool {
        name: "dbmate",
        table: Some("schema_migrations"),
        columns: &["version"],
        beside: None,
        unfinished: None,
        repair: "",
        version: NEWEST_TEXT,
        applied: Some(VERSIONS),
    },
];
