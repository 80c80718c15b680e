//! What a plan tells of, and does not refuse.

use super::{Survey, plan_of, rules};
use crate::model::{TableFacts, TableKind, TableName};

fn table(kind: TableKind) -> TableFacts {
    TableFacts {
        table: TableName::new("public", "cache"),
        kind,
        partition_of: None,
        estimated_rows: None,
        bytes: 0,
    }
}

/// What is not as it should be, and what is told of it.
type Case = (fn(&mut Survey), &'static str);

const CASES: [Case; 6] = [
    (
        |s| s.inventory.tables.push(table(TableKind::Unlogged)),
        "public.cache is unlogged",
    ),
    (
        |s| s.inventory.tables.push(table(TableKind::Foreign)),
        "public.cache is a foreign table",
    ),
    (
        |s| s.server_free_bytes = None,
        "the free space on the server cannot be seen from here",
    ),
    (
        |s| s.inventory.server.standbys = 2,
        "2 standby(s) stream from this server",
    ),
    (
        |s| s.inventory.database.collation_versions = (Some("1".into()), Some("2".into())),
        "the collation library is version 2, and was 1",
    ),
    (
        |s| s.inventory.server.version_num = 150_000,
        "the server is PostgreSQL 15.0, ",
    ),
];

#[test]
fn what_is_no_refusal_is_told() {
    let quiet = |s: &mut Survey| {
        s.server_free_bytes = Some(1 << 40);
        let same = (Some("1".to_owned()), Some("1".to_owned()));
        s.inventory.database.collation_versions = same;
        s.inventory.tables.push(table(TableKind::Table));
    };
    let plan = plan_of(&rules(), quiet);
    assert_eq!(plan.warnings, [] as [&str; 0]);
    for (fault, told) in CASES {
        let plan = plan_of(&rules(), |survey| {
            quiet(survey);
            fault(survey);
        });
        assert_eq!(plan.refusals, [], "{told}");
        let [warning] = &plan.warnings[..] else {
            panic!("{told}: {:?}", plan.warnings);
        };
        assert!(warning.starts_with(told), "{warning}");
        assert!(plan.render().contains(told), "{}", plan.render());
    }
}
