use std::sync::atomic::{AtomicU32, Ordering};

use rebuild_testgoogle::{Fault, Google, Strike, TransferOutcome};
use serde_json::Value;

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

fn counted(mended: &Arc<AtomicU32>) -> Vec<Arc<dyn Task>> {
    vec![Arc::new(Counted(mended.clone()))]
}

/// A step of a remedy in which the process is killed.
struct Endless;

#[async_trait]
impl Task for Endless {
    fn name(&self) -> String {
        "endless".to_owned()
    }

    async fn run(&self, _ctx: &Ctx, _db: &Identity) -> Result<()> {
        std::future::pending().await
    }
}

/// A step of a remedy that makes the table anew.
struct Makes(Arc<Google>);

#[async_trait]
impl Task for Makes {
    fn name(&self) -> String {
        "make".to_owned()
    }

    async fn run(&self, _ctx: &Ctx, _db: &Identity) -> Result<()> {
        self.0.set_bigquery_rows("EU", "stats", "articles", 0);
        Ok(())
    }
}

async fn task(stage: &Stage, config: &str, remedy: Vec<Arc<dyn Task>>) -> BackfillTask {
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
        store: stage.store().await,
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
    let task = task(&stage, "articles by day", Vec::new()).await;
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
        ..self::task(&stage, &config, Vec::new()).await
    };
    by_name.run(&stage.ctx, &db()).await.expect("done");
    assert_eq!(stage.server.transfer_runs(&config).len(), 2);
    let unknown = self::task(&stage, "article by day", Vec::new()).await;
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
    let task = task(&stage, "articles", counted(&mended)).await;
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
    let task = task(&stage, "articles", counted(&mended)).await;
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
    let task = task(&stage, "articles", counted(&mended)).await;
    let error = task.run(&stage.ctx, &db()).await.expect_err("still wrong");
    assert!(error.to_string().contains("not tried twice"), "{error:?}");
    assert_eq!(mended.load(Ordering::SeqCst), 1);
    assert_eq!(stage.server.transfer_runs(&config).len(), 2);
    let none = self::task(&stage, "articles", Vec::new()).await;
    let error = none.run(&stage.ctx, &db()).await.expect_err("no remedy");
    assert!(
        error.to_string().contains("wrong column count"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_remedy_that_was_cut_off_is_done_from_its_beginning() {
    let stage = Stage::new().await;
    stage.server.set_bigquery_rows("EU", "stats", "articles", 7);
    let server = Arc::downgrade(&stage.server);
    let config = stage.server.schedule_query("eu", "articles", move || {
        let server = server.upgrade().expect("the test goes on");
        match server.bigquery_rows("stats", "articles") {
            Some(7) => TransferOutcome::failed(WRONG),
            Some(_) => TransferOutcome::default(),
            None => TransferOutcome::failed("Not found: Table stats.articles"),
        }
    });
    let cut = task(&stage, "articles", vec![Arc::new(Endless)]).await;
    let db = db();
    tokio::select! {
        ended = cut.run(&stage.ctx, &db) => panic!("{ended:?}"),
        () = stage.until_told("remedy: endless") => {}
    }
    assert_eq!(stage.server.bigquery_rows("stats", "articles"), None);
    let mended = Arc::new(AtomicU32::new(0));
    let mut remedy = counted(&mended);
    remedy.push(Arc::new(Makes(stage.server.clone())));
    let resumed = task(&stage, "articles", remedy).await;
    resumed.run(&stage.ctx, &db).await.expect("mended");
    assert_eq!(mended.load(Ordering::SeqCst), 1);
    assert_eq!(stage.server.bigquery_rows("stats", "articles"), Some(0));
    let states: Vec<Value> = (stage.server.transfer_runs(&config).iter())
        .map(|run| run["state"].clone())
        .collect();
    assert_eq!(states, ["FAILED", "SUCCEEDED"]);
    let line = "the remedy of articles was begun before, and is done from its beginning";
    stage.until_told(line).await;
}

#[tokio::test]
async fn a_run_that_goes_on_after_a_remedy_begins_no_second_one() {
    let stage = Stage::new().await;
    stage.server.set_bigquery_rows("EU", "stats", "articles", 7);
    let config = stage
        .server
        .schedule_query("eu", "articles", || TransferOutcome::failed(WRONG));
    let mended = Arc::new(AtomicU32::new(0));
    let mut remedy = counted(&mended);
    remedy.push(Arc::new(Makes(stage.server.clone())));
    let task = task(&stage, "articles", remedy).await;
    // Killed while the query runs again.
    let db = db();
    let again = async {
        while stage.server.transfer_runs(&config).len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        ended = task.run(&stage.ctx, &db) => panic!("{ended:?}"),
        () = again => {}
    }
    let error = task.run(&stage.ctx, &db).await.expect_err("still wrong");
    assert!(error.to_string().contains("not tried twice"), "{error:?}");
    assert_eq!(mended.load(Ordering::SeqCst), 1);
    assert_eq!(stage.server.bigquery_rows("stats", "articles"), Some(0));
    assert_eq!(stage.server.calls("bigquery.tables.delete").len(), 1);
    // Another run of the same spec may do it.
    let other = Ctx::new(crate::model::RunId::generate(), stage.ctx.events.clone());
    task.run(&other, &db).await.expect_err("still wrong");
    assert_eq!(mended.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_table_that_may_not_be_deleted_stops_the_remedy() {
    let stage = Stage::new().await;
    let mended = Arc::new(AtomicU32::new(0));
    stage.server.deny("bigquery.tables.delete");
    stage
        .server
        .schedule_query("eu", "articles", || TransferOutcome::failed(WRONG));
    let task = task(&stage, "articles", counted(&mended)).await;
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
    let mut task = task(&stage, "articles", Vec::new()).await;
    task.limit = Duration::from_secs(1);
    let error = task.run(&stage.ctx, &db()).await.expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error:?}");
    let advice = error.advice().expect("advice");
    assert!(advice.contains("goes on in BigQuery"), "{advice}");
}
