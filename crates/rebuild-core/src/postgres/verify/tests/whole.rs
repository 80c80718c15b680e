use serde_json::json;

use super::*;
use crate::model::TableKind;
use crate::postgres::{exact_counts, tables};
use crate::testing::load_kitchen_sink;

#[tokio::test]
async fn a_database_with_one_of_everything_raises_no_false_alarm() {
    let bench = Bench::new().await;
    load_kitchen_sink(&bench.endpoint).await.expect("loaded");
    let mut held = tables(&bench.session).await.expect("tables");
    held.retain(|t| {
        use TableKind::{Foreign, MaterializedView, Partitioned};
        !matches!(t.kind, Foreign | MaterializedView | Partitioned)
    });
    let names: Vec<TableName> = held.into_iter().map(|t| t.table).collect();
    let counts = exact_counts(&bench.session, &names).await.expect("counts");
    assert!(counts.len() > 30, "{counts:?}");
    let backup = Told {
        counts,
        ..Told::default()
    };
    let checks = json!([
        {"kind": "counts"}, {"kind": "sequences"}, {"kind": "indexes"}, {"kind": "foreign_keys"},
    ]);
    let verdict = bench.verify_with(checks, backup).await;
    let [counts, sequences, indexes, keys] = &verdict.checks[..] else {
        panic!("{verdict:?}");
    };
    for check in [counts, sequences, indexes] {
        assert_eq!(check.outcome, Outcome::Passed, "{check:?}");
        assert!(!check.looked_at.starts_with("0 "), "{check:?}");
    }
    // The keys in it that nobody ever checked, and the rows in it that are wrong. Only 18 has
    // keys that are not enforced.
    let unchecked = "foreign key \"nobody_looked\" from ks.unchecked (person_id) to ks.person (id)";
    let mut expected = vec![
        format!("{unchecked}: it is NOT VALID"),
        format!("{unchecked}: 1 row refers to nothing"),
    ];
    if bench.version().await >= 18 {
        let loose = "foreign key \"virtual_c_fkey\" from ks.virtual (c) to ks.person (id)";
        expected.push(format!("{loose}: it is NOT ENFORCED"));
        expected.push(format!("{loose}: 1 row refers to nothing"));
    }
    assert_eq!(complaints(keys), expected);
}
