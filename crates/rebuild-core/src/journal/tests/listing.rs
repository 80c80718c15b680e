//! Runs in a list.

use super::*;
use crate::journal::list_runs;
use crate::plan::Plan;
use crate::testing::sim::Sim;
use crate::testing::survey::{rules, survey};

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
