//! Runs in a list.

use super::*;
use crate::environment::Environment;
use crate::error::ErrorKind;
use crate::journal::list_runs;
use crate::plan::Plan;
use crate::testing::sim::Sim;
use crate::testing::survey::{rules, survey};

/// What was cut off before its first record was there is no run, and in nobody's way.
#[tokio::test]
async fn what_never_began_is_no_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = format!("file://{}", folder.path().join("store").display());
    let store = Store::open(&address, &Environment::default())
        .await
        .expect("a store");
    let run = RunId::generate();
    let journal = folder.path().join(format!("store/runs/{run}/journal"));
    std::fs::create_dir_all(&journal).expect("the folder of its journal");
    std::fs::write(journal.join("00000001.json#1"), "{").expect("half a record");
    assert!(list_runs(&store).await.expect("the list").is_empty());
    let e = Journal::open(&store, &run).await.expect_err("no run");
    assert_eq!(e.kind(), ErrorKind::Usage, "{e:?}");
}

#[tokio::test]
async fn runs_that_began_in_one_second_are_listed_newest_first() {
    let target = Sim::with_app().identity("app").expect("app");
    let plan = Plan::build(&rules(), survey(target)).expect("a plan");
    let first = Body::RunBegan {
        plan: serde_json::to_value(&plan).expect("JSON"),
        plan_digest: plan.digest,
        spec_digest: plan.spec_digest,
        program: "0.1.0".to_owned(),
    };
    let store = memory();
    let mut ids = Vec::new();
    // What follows the time in an id is random, so it may fall from one run to the next.
    for random in ["ffffffffffffffff", "0000000000000000", "8888888888888888"] {
        let id: RunId = format!("run-20260102t030405z-{random}")
            .parse()
            .expect("an id");
        Journal::create(&store, &id, first.clone())
            .await
            .expect("begun");
        ids.insert(0, id);
    }
    let runs = list_runs(&store).await.expect("the list");
    let listed: Vec<RunId> = runs.into_iter().map(|r| r.id).collect();
    assert_eq!(listed, ids);
}
