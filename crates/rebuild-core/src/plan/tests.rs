//! Every guard, by a survey that it must refuse and the same survey without the fault.

mod faults;
mod stored;
mod warnings;

use super::{Drift, Plan, Refusal, RowsFrom, Rules, SchemaFrom, Survey, TableDrift};
use crate::model::{Obstacle, SessionFacts, TableFacts, TableKind, TableName};
use crate::testing::sim::Sim;
use crate::testing::survey::{rules, survey};
use crate::traits::BackupMode;

fn base() -> Survey {
    survey(Sim::with_app().identity("app").expect("app"))
}

fn plan_of(rules: &Rules<'_>, change: impl FnOnce(&mut Survey)) -> Plan {
    let mut survey = base();
    change(&mut survey);
    Plan::build(rules, survey).expect("a plan")
}

fn guards(refusals: &[Refusal]) -> Vec<&str> {
    refusals.iter().map(|r| r.guard.as_str()).collect()
}

fn session() -> SessionFacts {
    SessionFacts {
        pid: 4711,
        role: "app".to_owned(),
        application: "psql".to_owned(),
        client: "local".to_owned(),
        state: "idle".to_owned(),
    }
}

/// A table with no place, of which that many rows are believed to be there.
fn lost_table(rows: Option<u64>) -> Drift {
    Drift {
        lost_tables: vec![(TableName::new("public", "forgotten"), rows)],
        ..Drift::default()
    }
}

fn lost_column() -> Drift {
    Drift {
        tables: vec![TableDrift {
            table: TableName::new("public", "gpu"),
            new_columns: Vec::new(),
            lost_columns: vec![("vendor".to_owned(), "text".to_owned())],
            changed_columns: Vec::new(),
        }],
        ..Drift::default()
    }
}

/// What is wrong with a survey, and the guard that must say so.
type Case = (&'static str, fn(&mut Survey), &'static str);

const CASES: [Case; 21] = [
    (
        "a system database",
        |s| s.inventory.database.identity.name = "postgres".into(),
        "target",
    ),
    (
        "a template",
        |s| s.inventory.database.is_template = true,
        "target",
    ),
    (
        "a standby",
        |s| s.inventory.server.in_recovery = true,
        "target",
    ),
    (
        "a prepared transaction",
        |s| {
            s.inventory
                .obstacles
                .push(Obstacle::PreparedTransaction { gid: "x".into() })
        },
        "obstacles",
    ),
    (
        "a logical slot",
        |s| {
            s.inventory.obstacles.push(Obstacle::LogicalSlot {
                slot: "cdc".into(),
                active: false,
            });
        },
        "obstacles",
    ),
    (
        "a subscription",
        |s| {
            s.inventory
                .obstacles
                .push(Obstacle::Subscription { name: "sub".into() })
        },
        "obstacles",
    ),
    (
        "a pooler",
        |s| s.inventory.obstacles.push(Obstacle::Pooler),
        "obstacles",
    ),
    (
        "an invalid database",
        |s| s.inventory.obstacles.push(Obstacle::Invalid),
        "obstacles",
    ),
    (
        "no right to create databases",
        |s| {
            s.inventory.rights.superuser = false;
            s.inventory.rights.createdb = false;
        },
        "rights",
    ),
    (
        "another owner",
        |s| {
            s.inventory.rights.superuser = false;
            s.inventory.rights.owns_database = false;
        },
        "rights",
    ),
    (
        "a table that cannot be read",
        |s| {
            s.inventory.rights.superuser = false;
            s.inventory.rights.unreadable = vec![TableName::new("public", "secret")];
        },
        "rights",
    ),
    (
        "a session in the way",
        |s| s.inventory.sessions.push(session()),
        "sessions",
    ),
    (
        "no pg_dump",
        |s| s.tools.retain(|t| t.name != "pg_dump"),
        "tools",
    ),
    (
        "no pg_restore",
        |s| s.tools.retain(|t| t.name != "pg_restore"),
        "tools",
    ),
    ("an old pg_dump", |s| s.tools[0].major = 14, "tools"),
    (
        "a full server disk",
        |s| s.server_free_bytes = Some(10),
        "disk",
    ),
    ("a full store", |s| s.store_free_bytes = Some(10), "disk"),
    (
        "a store inside the target",
        |s| s.store_inside_target = true,
        "store",
    ),
    (
        "a table with no place",
        |s| s.drift = Some(lost_table(Some(1))),
        "data",
    ),
    (
        "a table with no place, never counted",
        |s| s.drift = Some(lost_table(None)),
        "data",
    ),
    (
        "a column with no place",
        |s| s.drift = Some(lost_column()),
        "data",
    ),
];

#[test]
fn a_sound_survey_is_not_refused() {
    assert_eq!(guards(&plan_of(&rules(), |_| {}).refusals), [""; 0]);
}

#[test]
fn every_fault_is_refused_by_its_guard() {
    for (what, change, guard) in CASES {
        let plan = plan_of(&rules(), change);
        assert_eq!(guards(&plan.refusals), [guard], "{what}");
        let e = plan.permit_run(None).expect_err(what);
        assert!(e.is_refusal(), "{what}");
        assert!(e.advice().is_some_and(|hint| !hint.is_empty()), "{what}");
    }
}

#[test]
fn no_system_database_is_a_target() {
    for name in [
        "postgres",
        "template0",
        "template1",
        "cloudsqladmin",
        "rdsadmin",
    ] {
        let plan = plan_of(&rules(), |s| {
            s.inventory.database.identity.name = name.to_owned();
        });
        assert_eq!(guards(&plan.refusals), ["target"], "{name}");
    }
}

#[test]
fn the_sessions_of_other_roles_need_the_right_to_end_them() {
    let mut allowing = rules();
    allowing.may_end = &|_| true;
    let change = |s: &mut Survey| {
        s.inventory.rights.superuser = false;
        s.inventory.rights.signal_backend = false;
    };
    assert_eq!(guards(&plan_of(&allowing, change).refusals), [""; 0]);
    let plan = plan_of(&allowing, |s| {
        change(s);
        s.inventory.sessions.push(session());
    });
    assert_eq!(guards(&plan.refusals), ["rights"]);
}

#[test]
fn what_a_plan_does_not_need_is_not_refused() {
    let plan = plan_of(&rules(), |s| s.drift = Some(lost_table(Some(0))));
    assert_eq!(guards(&plan.refusals), [""; 0], "an empty table");
    let mut without_rows = rules();
    without_rows.rows = RowsFrom::Nowhere;
    without_rows.backup = BackupMode::SchemaOnly;
    let plan = plan_of(&without_rows, |s| {
        s.inventory.rights.superuser = false;
        s.inventory.rights.unreadable = vec![TableName::new("public", "secret")];
        s.server_free_bytes = Some(10);
        s.store_free_bytes = Some(10);
        s.drift = Some(lost_column());
    });
    assert_eq!(guards(&plan.refusals), [""; 0], "nothing is carried over");
}

#[test]
fn columns_of_another_type_are_warned_of_unless_their_values_are_compared() {
    let survey = |s: &mut Survey| {
        let mut drift = lost_column();
        let table = &mut drift.tables[0];
        table.lost_columns.clear();
        let types = ["price", "numeric(10,4)", "numeric(10,2)"].map(str::to_owned);
        table.changed_columns = vec![types.into()];
        s.drift = Some(drift);
        s.server_free_bytes = Some(1 << 40);
    };
    let mut rules = rules();
    assert_eq!(
        plan_of(&rules, survey).warnings,
        [
            "values of public.gpu.price (numeric(10,4) -> numeric(10,2)) are given another type; [[verify]] \
             with kind = \"content\" finds those that do not survive it"
        ]
    );
    rules.compares_content = true;
    rules.unverified_tls = &["target.insecure_tls"];
    let warnings = plan_of(&rules, survey).warnings;
    assert!(
        warnings[0].starts_with("target.insecure_tls: "),
        "{warnings:?}"
    );
    rules.unverified_tls = &[];
    assert_eq!(plan_of(&rules, survey).warnings, [""; 0]);
    rules.compares_content = false;
    rules.rows = RowsFrom::Nowhere;
    assert_eq!(
        plan_of(&rules, survey).warnings,
        [""; 0],
        "nothing is carried over"
    );
}

#[test]
fn what_the_new_database_has_otherwise_is_warned_of() {
    let mut rules = rules();
    rules.compares_content = true;
    let plan = plan_of(&rules, |s| {
        let mut drift = lost_column();
        let table = &mut drift.tables[0];
        table.lost_columns.clear();
        let zoned = [
            "at",
            "timestamp without time zone",
            "timestamp with time zone",
        ];
        let finer = [
            "seen",
            "timestamp(0) with time zone",
            "timestamp(3) with time zone",
        ];
        let text = ["told", "text", "timestamp with time zone"];
        let columns = [zoned, finer, text].map(|c| c.map(str::to_owned).into());
        table.changed_columns = columns.into();
        s.drift = Some(drift);
        s.server_free_bytes = Some(1 << 40);
        let settings = &mut s.inventory.database.settings;
        settings.push((None, "default_transaction_read_only=on".to_owned()));
    });
    assert_eq!(
        plan.warnings,
        [
            "public.gpu.at gets or loses its time zone: values without one are taken for UTC",
            "app has default_transaction_read_only = on, which does not come along; after the run: \
             ALTER DATABASE \"app\" SET default_transaction_read_only = on"
        ]
    );
}

#[test]
fn tables_that_are_not_restored_are_losses() {
    let mut some = rules();
    some.takes = &|table| ["taken", "tree"].contains(&table.name.as_str());
    let fill = |s: &mut Survey| {
        let table = |name: &str, rows: u64, root: Option<&str>| TableFacts {
            table: TableName::new("public", name),
            kind: TableKind::Table,
            partition_of: root.map(|root| TableName::new("public", root)),
            estimated_rows: Some(rows),
            bytes: 8192,
        };
        let part = table("part", 7, Some("tree"));
        s.inventory.tables = vec![table("taken", 1, None), table("left", 9, None), part];
        s.inventory.tables.push(table("none", 0, None));
        s.drift = Some(Drift::default());
        s.server_free_bytes = Some(1 << 40);
    };
    let left =
        "not in restore.tables: public.left with about 9 rows, which stay in the retired database";
    assert_eq!(plan_of(&some, fill).losses, [left]);
    assert_eq!(plan_of(&rules(), fill).losses, [""; 0]);
}

#[test]
fn what_the_spec_allows_is_not_refused() {
    let mut allowing = rules();
    allowing.may_end = &|s| s.application == "psql";
    allowing.may_drop =
        &|table, column| table.to_string() == "public.gpu" && column == Some("vendor");
    let plan = plan_of(&allowing, |s| {
        s.inventory.sessions.push(session());
        s.drift = Some(lost_column());
    });
    assert_eq!(guards(&plan.refusals), [""; 0]);
    assert_eq!(
        plan.losses.len(),
        2,
        "both are still shown: {:?}",
        plan.losses
    );
}

#[test]
fn objects_of_other_roles_matter_only_where_the_schema_comes_from_the_backup() {
    let change = |s: &mut Survey| {
        s.inventory.rights.superuser = false;
        s.inventory.rights.foreign_owned = vec!["table public.theirs".to_owned()];
    };
    assert_eq!(guards(&plan_of(&rules(), change).refusals), [""; 0]);
    let mut from_backup = rules();
    from_backup.schema = SchemaFrom::Backup;
    assert_eq!(guards(&plan_of(&from_backup, change).refusals), ["rights"]);
}

#[test]
fn a_production_label_asks_for_the_typed_name() {
    for label in ["production", "Prod", "live"] {
        let mut production = rules();
        production.environment = Some(label);
        let plan = plan_of(&production, |_| {});
        assert!(plan.permit_run(None).is_err(), "{label}");
        assert!(plan.permit_run(Some("ap")).is_err(), "{label}");
        assert!(plan.permit_run(Some("app")).is_ok(), "{label}");
    }
    let mut staging = rules();
    staging.environment = Some("staging");
    assert!(plan_of(&staging, |_| {}).permit_run(None).is_ok());
}

#[test]
fn the_versions_of_migration_tools_are_compared() {
    let by = |tool: &str, version: &str| Some((tool.to_owned(), version.to_owned()));
    let differs = Some(lost_table(Some(0)));
    let cases = [
        (by("alembic", "1"), by("alembic", "2"), None),
        (
            by("alembic", "1"),
            by("alembic", "1"),
            Some("changed by hand"),
        ),
        (by("alembic", "1"), by("Flyway", "1"), Some("is by Flyway")),
        (by("alembic", "1"), None, Some("no migration tool's table")),
        (None, by("alembic", "1"), None),
    ];
    for (live, new, warning) in cases {
        let mut rules = rules();
        rules.schema = SchemaFrom::Command;
        let survey = |s: &mut Survey| {
            s.schema.migration = live.clone();
            s.new_migration = new.clone();
            s.drift = differs.clone();
            // Else there is a warning of that.
            s.server_free_bytes = Some(1 << 40);
        };
        let plan = plan_of(&rules, survey);
        assert_eq!(
            plan.warnings.len(),
            usize::from(warning.is_some()),
            "{plan:?}"
        );
        assert!(
            plan.warnings
                .iter()
                .all(|w| w.contains(warning.unwrap_or_default()))
        );
        let same = plan_of(&rules, |s| {
            survey(s);
            s.drift = Some(Drift::default());
        });
        let hand = warning == Some("changed by hand");
        assert_eq!(
            same.warnings.is_empty(),
            hand || warning.is_none(),
            "{same:?}"
        );
        rules.schema = SchemaFrom::Files;
        assert!(plan_of(&rules, survey).warnings.is_empty());
    }
    let plan = plan_of(&rules(), |s| {
        s.schema.migration = by("alembic", "1");
        s.new_migration = by("alembic", "2");
    });
    assert!(
        plan.render()
            .contains("Schema   alembic at 1 -> alembic at 2\n")
    );
}

#[test]
fn two_workloads_whose_names_look_alike_get_two_steps() {
    let workloads = ["Web 1".to_owned(), "web-1".to_owned()];
    let mut rules = rules();
    rules.workloads = &workloads;
    let plan = plan_of(&rules, |_| {});
    let ids: Vec<&str> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids[..2], ["stop-web-1", "stop-web-1-2"]);
    let unique: std::collections::BTreeSet<&&str> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
}
