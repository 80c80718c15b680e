//! What is appended is what is read.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        finite().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(Value::from_iter),
        ]
    })
}

/// Every number that JSON can hold; times have no others.
fn finite() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |x| x.is_finite()),
        0.0..1e5
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    prop::sample::select(vec![
        Ending::Done,
        Ending::RolledBack,
        Ending::Halted,
        Ending::Stuck,
    ])
}

/// Any body; few steps, so that many of them can follow each other.
pub(super) fn body() -> impl Strategy<Value = Body> {
    let step =
        || prop_oneof![4 => Just("a".to_owned()), 4 => Just("b".to_owned()), 1 => any::<String>()];
    prop_oneof![
        4 => (step(), value()).prop_map(|(step, intent)| Body::StepIntent { step, intent }),
        4 => (step(), value(), finite()).prop_map(|(step, outcome, seconds)| Body::StepDone {
            step, outcome, seconds
        }),
        2 => (step(), any::<String>()).prop_map(|(step, error)| Body::StepFailed { step, error }),
        2 => Just(Body::Resumed),
        1 => any::<String>().prop_map(|why| Body::RollbackBegan { why }),
        1 => Just(Body::WentLive),
        2 => step().prop_map(|step| Body::UndoIntent { step }),
        2 => step().prop_map(|step| Body::UndoDone { step }),
        1 => (step(), any::<String>()).prop_map(|(step, error)| Body::UndoFailed { step, error }),
        1 => ending().prop_map(|ending| Body::Ended { ending }),
        1 => any::<String>().prop_map(|what| Body::Purged { what }),
    ]
}

/// Appends what may follow, and reads it back; the number of records.
async fn round_trip(bodies: Vec<Body>) -> usize {
    let store = memory();
    let run = RunId::generate();
    let mut journal = Journal::create(&store, &run, began()).await.expect("begun");
    let mut accepted = vec![began()];
    for body in bodies {
        let before = journal.state().clone();
        match journal.append(body.clone()).await {
            Ok(()) => accepted.push(body),
            // A refused record leaves no trace.
            Err(_) => assert_eq!(*journal.state(), before),
        }
    }
    let read = crate::journal::log::read(&store, &run).await.expect("read");
    let bodies: Vec<Body> = read.into_iter().map(|(record, _)| record.body).collect();
    assert_eq!(bodies, accepted);
    let reopened = Journal::open(&store, &run).await.expect("sound");
    assert_eq!(reopened.state(), journal.state());
    accepted.len()
}

#[test]
fn any_sequence_reads_back_equal() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let longest = std::cell::Cell::new(0);
    proptest!(ProptestConfig::with_cases(300), |(bodies in prop::collection::vec(body(), 0..40))| {
        let records = runtime.block_on(round_trip(bodies));
        longest.set(longest.get().max(records));
    });
    assert!(
        longest.get() > 5,
        "too few bodies could follow each other: {}",
        longest.get()
    );
}

#[test]
fn every_duration_reads_back_equal() {
    let mut nanos: u64 = 88_172_645_463_325_252;
    for _ in 0..5_000 {
        // Marsaglia's xorshift; ten minutes at most.
        nanos ^= nanos << 13;
        nanos ^= nanos >> 7;
        nanos ^= nanos << 17;
        let seconds = std::time::Duration::from_nanos(nanos % 600_000_000_000).as_secs_f64();
        let body = Body::StepDone {
            step: "a".to_owned(),
            outcome: Value::Null,
            seconds,
        };
        let read = Record::from_bytes("a record", &sealed(1, "", body.clone())).expect("read");
        assert_eq!(read.body, body);
    }
}

#[tokio::test]
async fn each_process_says_once_which_program_it_runs() {
    let store = memory();
    let run = RunId::generate();
    let program = |version: &str| crate::journal::Program {
        version: version.to_owned(),
        binary: Some("0".repeat(64)),
        tools: Vec::new(),
    };
    let first = Some(program("1.0"));
    let journal = Journal::create_by(&store, &run, began(), first).await;
    let mut journal = journal.expect("begun");
    journal.append(Body::Resumed).await.expect("appended");
    let mut journal = Journal::open(&store, &run).await.expect("sound");
    assert_eq!(journal.state().program(), Some(&program("1.0")));
    journal.written_by(Some(program("1.1")));
    journal.append(Body::Resumed).await.expect("appended");
    journal.append(Body::Resumed).await.expect("appended");

    let read = crate::journal::log::read(&store, &run).await.expect("read");
    let told: Vec<Option<String>> = (read.into_iter())
        .map(|(record, _)| Some(record.writer.program?.version))
        .collect();
    let told: Vec<Option<&str>> = told.iter().map(Option::as_deref).collect();
    assert_eq!(told, [Some("1.0"), None, Some("1.1"), None]);
    let reopened = Journal::open(&store, &run).await.expect("sound");
    assert_eq!(reopened.state().program(), Some(&program("1.1")));
}
