use std::sync::atomic::{AtomicU32, Ordering};

use rebuild_testgoogle::{Fault, Strike, TransferOutcome};

use super::*;
use crate::gcp::stage::{Stage, db};

const WRONG: &str = "Query error: Inserted row has wrong column count; Has 3, expected 4 at [1:1]";

/// A step of a remedy that counts.
struct Counted(Arc<AtomicU32>);

#[async_trait]
impl Task for Counted {
    fn name(&self) -> String {
        "mend".to_owned()
    }

    async fn run(&self, _ctx: &Ctx, _db: &Identity) -> Result<()> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn task(stage: &Stage, config: &str, remedy: Vec<Arc<dyn Task>>) -> BackfillTask {
    BackfillTask {
        google: stage.google.clone(),
        name: "backfill".to_owned(),
        location: "eu".to_owned(),
        backfills: vec![Backfill {
            config: config.to_owned(),
            table: Some("stats.articles".parse().expect("a table")),
        }],
        remedy,
        place: 0,
        limit: Duration::from_secs(60),
    }
}

#[tokio::test]
async fn a_query_is_run_now_and_waited_for() {
    let stage = Stage::new().await;
    let config = stage.server.schedule_query("eu", "articles by day", || {
        TransferOutcome::default().saying("INFO", "Summary: succeeded 1 jobs")
    });
    stage
        .server
        .schedule_query("eu", "others", TransferOutcome::default);
    let start = "bigquerydatatransfer.projects.locations.transferConfigs.startManualRuns";
    stage.server.fault(Fault::once(start, Strike::CloseAfter));
    let looked = "bigquerydatatransfer.projects.locations.transferConfigs.runs.get";
    stage
        .server
        .fault(Fault::once(looked, Strike::answer(503, "later")));
    let task = task(&stage, "articles by day", Vec::new());
    task.run(&stage.ctx, &db()).await.expect("done");
    stage
        .until_told("articles by day: Summary: succeeded 1 jobs")
        .await;
    assert_eq!(stage.server.transfer_runs(&config).len(), 1);
    // Resumed, it is done; by another step or another run it is run again.
    task.run(&stage.ctx, &db()).await.expect("done before");
    assert_eq!(stage.server.transfer_runs(&config).len(), 1);
    let by_name = BackfillTask {
        place: 1,
        ..self::task(&stage, &config, Vec::new())
    };
    by_name.run(&stage.ctx, &db()).await.expect("done");
    assert_eq!(stage.server.transfer_runs(&config).len(), 2);
    let unknown = self::task(&stage, "article by day", Vec::new());
    let error = unknown
        .run(&stage.ctx, &db())
        .await
        .expect_err("no such query");
    assert!(
        error.advice().expect("advice").contains("articles by day"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_failure_comes_with_its_messages() {
    let stage = Stage::new().await;
    let mended = Arc::new(AtomicU32::new(0));
    stage.server.set_bigquery_rows("EU", "stats", "articles", 7);
    stage.server.schedule_query("eu", "articles", || {
        TransferOutcome::failed("Error code 3").saying("ERROR", "No such table: public.articles")
    });
    let task = task(&stage, "articles", vec![Arc::new(Counted(mended.clone()))]);
    let error = task.run(&stage.ctx, &db()).await.expect_err("failed");
    assert_eq!(error.kind(), ErrorKind::Program);
    let said = error.to_string();
    assert!(
        said.contains("Error code 3") && said.contains("No such table"),
        "{said}"
    );
    // The remedy is for another illness.
    assert_eq!(mended.load(Ordering::SeqCst), 0);
    assert_eq!(stage.server.bigquery_rows("stats", "articles"), Some(7));
}

#[tokio::test]
async fn a_wrong_column_count_is_mended_once() {
    let stage = Stage::new().await;
    let mended = Arc::new(AtomicU32::new(0));
    stage.server.set_bigquery_rows("EU", "stats", "articles", 7);
    let is_mended = mended.clone();
    let config = stage.server.schedule_query("eu", "articles", move || {
        match is_mended.load(Ordering::SeqCst) {
            0 => TransferOutcome::failed("Error code 3").saying("ERROR", WRONG),
            _ => TransferOutcome::default(),
        }
    });
    let task = task(&stage, "articles", vec![Arc::new(Counted(mended.clone()))]);
    task.run(&stage.ctx, &db()).await.expect("mended");
    assert_eq!(mended.load(Ordering::SeqCst), 1);
    assert_eq!(stage.server.bigquery_rows("stats", "articles"), None);
    let states: Vec<String> = (stage.server.transfer_runs(&config).iter())
        .map(|run| run["state"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(states, ["FAILED", "SUCCEEDED"]);
    stage
        .until_told("deleting the table stats.articles of BigQuery")
        .await;
}

#[tokio::test]
async fn a_remedy_that_does_not_help_is_not_tried_twice() {
    let stage = Stage::new().await;
    let mended = Arc::new(AtomicU32::new(0));
    let config = stage
        .server
        .schedule_query("eu", "articles", || TransferOutcome::failed(WRONG));
    let task = task(&stage, "articles", vec![Arc::new(Counted(mended.clone()))]);
    let error = task.run(&stage.ctx, &db()).await.expect_err("still wrong");
    assert!(error.to_string().contains("not tried twice"), "{error:?}");
    assert_eq!(mended.load(Ordering::SeqCst), 1);
    assert_eq!(stage.server.transfer_runs(&config).len(), 2);
    let none = self::task(&stage, "articles", Vec::new());
    let error = none.run(&stage.ctx, &db()).await.expect_err("no remedy");
    assert!(
        error.to_string().contains("wrong column count"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_table_that_may_not_be_deleted_stops_the_remedy() {
    let stage = Stage::new().await;
    let mended = Arc::new(AtomicU32::new(0));
    stage.server.deny("bigquery.tables.delete");
    stage
        .server
        .schedule_query("eu", "articles", || TransferOutcome::failed(WRONG));
    let task = task(&stage, "articles", vec![Arc::new(Counted(mended.clone()))]);
    let error = task.run(&stage.ctx, &db()).await.expect_err("403");
    assert!(
        error
            .chain()
            .contains("could not delete the table stats.articles"),
        "{error:?}"
    );
    assert_eq!(mended.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_query_that_does_not_end_is_left_at_the_deadline() {
    let stage = Stage::new().await;
    stage
        .server
        .schedule_query("eu", "articles", TransferOutcome::default);
    let get = "bigquerydatatransfer.projects.locations.transferConfigs.runs.get";
    stage.server.on(get, |call| async move {
        let running = serde_json::json!({"name": call.param("name"), "state": "RUNNING"});
        Ok(running.into())
    });
    let mut task = task(&stage, "articles", Vec::new());
    task.limit = Duration::from_secs(1);
    let error = task.run(&stage.ctx, &db()).await.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error:?}");
    let advice = error.advice().expect("advice");
    assert!(advice.contains("goes on in BigQuery"), "{advice}");
}
