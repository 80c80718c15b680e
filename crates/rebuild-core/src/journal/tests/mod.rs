//! A journal that is kept, damaged, fought over, and of another version.

mod damage;
mod format;
mod listing;
mod round_trip;
mod transitions;
mod writers;

use std::sync::Arc;

use object_store::memory::InMemory;
use serde_json::json;

use super::record::hash;
use super::{Body, Ending, Journal, RECORD_VERSION, Record, Writer};
use crate::error::Result;
use crate::model::RunId;
use crate::store::{Name, Store};

fn memory() -> Store {
    Store::over(Arc::new(InMemory::new()))
}

fn began() -> Body {
    Body::RunBegan {
        plan: json!({"target": "app", "ratio": 0.1}),
        plan_digest: "d1".to_owned(),
        spec_digest: "d2".to_owned(),
        program: "0.1.0".to_owned(),
    }
}

/// A run with a record of every kind.
fn every_kind() -> Vec<Body> {
    let step = |name: &str| name.to_owned();
    vec![
        began(),
        Body::StepIntent {
            step: step("backup"),
            intent: json!({"id": "b", "tables": ["Zoë's \"table\"", "\u{1f980}"]}),
        },
        Body::StepDone {
            step: step("backup"),
            outcome: json!({"rows": u64::MAX, "none": null}),
            seconds: 12.345_678_901_234_567,
        },
        Body::StepIntent {
            step: step("promote"),
            intent: json!(null),
        },
        Body::StepFailed {
            step: step("promote"),
            error: "the server\nsaid no".to_owned(),
        },
        Body::Ended {
            ending: Ending::Halted,
        },
        Body::Resumed,
        Body::RollbackBegan {
            why: "asked".to_owned(),
        },
        Body::WentLive,
        Body::UndoIntent {
            step: step("promote"),
        },
        Body::UndoFailed {
            step: step("promote"),
            error: "sessions in the way".to_owned(),
        },
        Body::UndoIntent {
            step: step("promote"),
        },
        Body::UndoDone {
            step: step("promote"),
        },
        Body::Ended {
            ending: Ending::RolledBack,
        },
        Body::Purged {
            what: "app_old".to_owned(),
        },
    ]
}

/// Writes `bodies` as a new run's journal.
async fn written(store: &Store, bodies: &[Body]) -> Result<RunId> {
    let run = RunId::generate();
    let mut journal = Journal::create(store, &run, bodies[0].clone()).await?;
    for body in &bodies[1..] {
        journal.append(body.clone()).await?;
    }
    Ok(run)
}

fn object(run: &RunId, seq: usize) -> Name {
    Name::new(format!("runs/{run}/journal/{seq:08}.json")).expect("a name")
}

/// The stored bytes of every record, in order.
async fn stored(store: &Store, run: &RunId) -> Vec<Vec<u8>> {
    let records = super::log::read(store, run).await.expect("a sound journal");
    records.into_iter().map(|(_, bytes)| bytes).collect()
}

/// A store that holds these records, but for those that are `None`.
async fn holding(run: &RunId, records: &[Option<&[u8]>]) -> Store {
    let store = memory();
    for (n, bytes) in records.iter().enumerate() {
        if let Some(bytes) = bytes {
            store
                .put_new(&object(run, n + 1), bytes.to_vec())
                .await
                .expect("written");
        }
    }
    store
}

/// The bytes of a record that is sound by itself.
fn sealed(seq: u64, prev: &str, body: Body) -> Vec<u8> {
    let record = Record {
        version: RECORD_VERSION,
        seq,
        at: "2026-01-02T03:04:05.000000006Z".parse().expect("a time"),
        prev: prev.to_owned(),
        writer: Writer {
            id: "0192f0c1".to_owned(),
            pid: 7,
            program: None,
        },
        body,
    };
    record.to_bytes().expect("bytes")
}
