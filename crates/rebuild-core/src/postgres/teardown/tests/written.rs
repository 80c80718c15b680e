//! What is written to the new database until it goes out of service.

use super::*;
use crate::event::{Collected, EventKind, Events};
use crate::postgres::server_error;

/// A look that never comes to its end.
struct Stuck;

#[async_trait]
impl WriteWatch for Stuck {
    async fn marks(&self, _: &Session) -> Result<serde_json::Value> {
        Ok(serde_json::Value::Null)
    }

    async fn moved(&self, session: &Session, _: &serde_json::Value) -> Result<Vec<String>> {
        let asked = session.query_one("select pg_catalog.pg_sleep(3600)", &[]);
        asked.await.map_err(|e| server_error("it is ended", e))?;
        Ok(Vec::new())
    }

    async fn changed_since(&self, _: &Ctx, _: &Identity, _: &BackupId) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// Goes there and back: what is told on the way back.
async fn told(watch: Arc<dyn WriteWatch>, marks: serde_json::Value) -> Vec<String> {
    let mut w = World::of(EndSessions::All, watch, Vec::new()).await;
    let request = RetireRequest {
        successor_marks: marks,
        unchanged_since: None,
        ..w.request()
    };
    let retired = w.teardown.retire(&w.ctx, &request).await;
    let retired = retired.expect("promoted");
    let collected = Arc::new(Collected::default());
    w.ctx.events = Events::new(None, vec![collected.clone()]);
    // Whatever is found, one goes back.
    let back = w.teardown.reinstate(&w.ctx, &retired);
    back.await.expect("back");
    assert_eq!(w.says("app").await, "old");
    assert!(!w.place("app_new").await.expect("kept").open);
    let events = collected.events().into_iter();
    let said = events.filter_map(|event| match event.kind {
        EventKind::Note { message, .. } => Some(message),
        _ => None,
    });
    said.filter(|line| line.contains("written")).collect()
}

#[tokio::test]
async fn rows_written_until_the_names_change_back_are_told_with_where_they_stay() {
    let marks = serde_json::json!({"t": 1});
    assert_eq!(
        told(Arc::new(LateWrite), marks).await,
        [
            "what was written to the new database before it went out of service stays in \
             \"app_new\": public.late"
        ]
    );
    let unmarked = told(Arc::new(LateWrite), serde_json::Value::Null).await;
    assert_eq!(unmarked, [""; 0], "nothing to compare with");
}

#[tokio::test]
async fn a_look_that_hangs_is_left_and_keeps_nobody_from_going_back() {
    let told = told(Arc::new(Stuck), serde_json::json!({"t": 1})).await;
    assert!(told.iter().any(|line| line.contains("in time")), "{told:?}");
}
