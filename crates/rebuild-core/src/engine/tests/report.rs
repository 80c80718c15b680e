//! What a report says is left, and how to go back.

use super::world::{World, ending, plan, run_id};
use crate::engine::RollbackOptions;
use crate::model::{BackfillFacts, GcpFacts};
use crate::plan::Strategy;

/// A query of the step `after/NAME`.
fn query(name: &str) -> BackfillFacts {
    BackfillFacts {
        step: format!("after/{name}"),
        config: format!("rows of {name}"),
        location: "eu".to_owned(),
        table: Some("stats.rows".to_owned()),
        may_delete: false,
    }
}

#[tokio::test]
async fn what_queries_took_is_said_to_stay_and_the_way_back_can_be_typed_as_it_is_shown() {
    let world = World::new();
    let run = run_id();
    let mut plan = plan(&world.sim, Strategy::Aside);
    plan.environment = Some("production".to_owned());
    plan.survey.gcp = Some(Box::new(GcpFacts {
        backfills: vec![query("smoke"), query("another")],
        ..GcpFacts::default()
    }));
    let report = world.engine().run(run.clone(), plan).await;
    let report = report.expect("a report");
    assert_eq!(ending(&report), "done");
    let back = format!("`rebuild rollback {run} --confirm app` brings it back");
    assert!(
        report.left.iter().any(|line| line.contains(&back)),
        "{report:?}"
    );
    let stays = "anything that the scheduled query \"rows of smoke\" has put into stats.rows of BigQuery \
                 stays";
    assert!(!report.left.iter().any(|line| line.contains("BigQuery")));

    let options = RollbackOptions::default();
    let report = world.engine().rollback(&run, options).await;
    let report = report.expect("a report");
    assert_eq!(ending(&report), "rolled back");
    let told = report.left.iter().filter(|line| line.contains("BigQuery"));
    let told: Vec<&String> = told.collect();
    assert_eq!(told.len(), 1, "the other step was not begun: {told:?}");
    assert!(told[0].starts_with(stays), "{told:?}");
}
