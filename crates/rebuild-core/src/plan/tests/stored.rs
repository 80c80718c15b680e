//! Plans that were kept: what makes one stale, and which can be read.

use super::*;
use crate::traits::AppliedFile;

/// What makes a stored plan stale.
type Stale = (&'static str, fn(&mut Survey));

#[test]
fn a_plan_is_stale_when_its_state_changed() {
    let file = |path: &str, checksum: &str| AppliedFile {
        path: path.to_owned(),
        checksum: checksum.to_owned(),
    };
    let with_files = |s: &mut Survey| {
        s.schema.files = vec![file("1_a.sql", "1"), file("2_b.sql", "1")];
        s.fixtures = vec![file("f.sql", "1")];
        s.drift = Some(lost_table(Some(1)));
        s.new_schema_hash = Some("2".repeat(64));
    };
    let plan = plan_of(&rules(), with_files);
    let same = plan_of(&rules(), |s| {
        with_files(s);
        s.inventory.sessions.push(session());
        s.drift = Some(lost_table(Some(2)));
    });
    assert!(
        plan.require_same_state(&same).is_ok(),
        "sessions and rows come and go"
    );
    let changes: [Stale; 12] = [
        ("the target is", |s| {
            s.inventory.database.identity.uid = "2".into()
        }),
        ("the target is", |s| {
            s.inventory.database.identity.server = "8".into()
        }),
        ("the schema of the target", |s| {
            s.schema_hash = "1".repeat(64)
        }),
        ("the server is at", |s| {
            s.inventory.server.address = "10.0.0.9:5432".into()
        }),
        ("the server is at", |s| {
            s.inventory.server.data_directory = Some("/clone".into())
        }),
        ("the server or its tools", |s| s.tools[1].major = 18),
        ("2_b.sql has changed", |s| {
            s.schema.files[1].checksum = "2".into()
        }),
        ("1_a.sql has changed", |s| {
            s.schema.files.remove(0);
        }),
        ("3_c.sql has changed", |s| {
            let mut more = s.schema.files[1].clone();
            more.path = "3_c.sql".into();
            s.schema.files.push(more);
        }),
        ("f.sql has changed", |s| s.fixtures[0].checksum = "2".into()),
        ("the new schema has changed", |s| {
            s.new_schema_hash = Some("3".repeat(64))
        }),
        ("the new schema has changed", |s| s.new_schema_hash = None),
    ];
    for (what, change) in changes {
        let now = plan_of(&rules(), |s| {
            with_files(s);
            change(s);
        });
        let e = plan.require_same_state(&now).expect_err(what);
        assert!(e.to_string().contains(what), "{e}");
    }
}

#[test]
fn a_stored_plan_comes_back_and_a_newer_one_is_refused() {
    let plan = plan_of(&rules(), |_| {});
    let bytes = plan.to_json().expect("json");
    assert_eq!(Plan::from_json(&bytes).expect("a plan"), plan);
    let newer =
        String::from_utf8(bytes)
            .expect("text")
            .replacen("\"version\": 1", "\"version\": 2", 1);
    let e = Plan::from_json(newer.as_bytes()).expect_err("newer");
    assert!(e.to_string().contains("version 2"), "{e}");
    assert!(Plan::from_json(b"{}").is_err());
}
