//! The journal of a run.

use std::cell::OnceCell;
use std::sync::Arc;

use object_store::memory::InMemory;
use tokio::runtime::{Builder, Runtime};

use super::damage::Damage;
use crate::error::Result;
use crate::journal::{Body, Journal, RECORD_VERSION, Record, RunState, Writer, hash, summary};
use crate::model::RunId;
use crate::store::{Name, Store};

/// The most records of one input.
const MOST: usize = 48;

/// Takes the lines of `data` for the stored records of a journal; and for records, or what they
/// say, out of which a sound journal is made, which is then damaged.
///
/// # Panics
/// A property does not hold.
pub fn journal(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|b| *b == b'\n').take(MOST).collect();
    let stored: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
    if let Ok(state) = open(&stored) {
        // Whatever can be opened is, byte for byte, what would be written.
        let written = Written::of(stored.iter().map(|bytes| body(bytes).expect("a record")));
        assert_eq!(written.states.last(), Some(&state));
        refuses_damage(&stored, &mut Damage::of(data));
    }
    let written = Written::of(lines.iter().filter_map(|line| body(line)));
    if written.records.is_empty() {
        return;
    }
    assert_eq!(open(&written.records).ok().as_ref(), written.states.last());
    for (n, state) in written.states.iter().enumerate() {
        let rest = written.bodies[n..].iter();
        let mut replayed = state.clone();
        for (record, next) in rest.zip(&written.states[n + 1..]) {
            apply(&mut replayed, record).expect("it was accepted before");
            assert_eq!(&replayed, next, "as the whole");
        }
    }
    refuses_damage(&written.records, &mut Damage::of(data));
    in_words(&written.records);
}

/// What a record says that is given whole, or by what it says alone.
fn body(line: &[u8]) -> Option<Body> {
    match Record::from_bytes("a line", line) {
        Ok(record) => Some(record.body),
        Err(e) => {
            assert!(!e.to_string().is_empty());
            serde_json::from_slice(line).ok()
        }
    }
}

/// A journal of what could follow.
struct Written {
    bodies: Vec<Body>,
    /// As they are stored.
    records: Vec<Vec<u8>>,
    /// The state before the first record, and after each.
    states: Vec<RunState>,
}

impl Written {
    fn of(bodies: impl Iterator<Item = Body>) -> Self {
        let mut written = Self {
            bodies: Vec::new(),
            records: Vec::new(),
            states: vec![RunState::default()],
        };
        for body in bodies {
            written.add(body);
        }
        written
    }

    /// What cannot follow leaves no trace, and neither does what could not be read again.
    fn add(&mut self, body: Body) {
        let before = self.states.last().expect("the first").clone();
        let mut next = before.clone();
        if apply(&mut next, &body).is_err() {
            assert_eq!(next, before, "refused, and changed all the same");
            return;
        }
        let head = hash(self.records.last().map_or(&[], Vec::as_slice));
        let record = record(self.records.len() as u64 + 1, head, body.clone());
        if let Ok(bytes) = record.stored("a record") {
            self.bodies.push(body);
            self.records.push(bytes);
            self.states.push(next);
        }
    }
}

fn record(seq: u64, prev: String, body: Body) -> Record {
    Record {
        version: RECORD_VERSION,
        seq,
        at: "2026-01-02T03:04:05.000000006Z".parse().expect("a time"),
        prev,
        writer: Writer {
            id: "0192f0c1".to_owned(),
            pid: 7,
            program: None,
        },
        body,
    }
}

fn apply(state: &mut RunState, body: &Body) -> Result<()> {
    state.apply(&record(1, String::new(), body.clone()))
}

/// No damage makes another journal of it. Only what is missing at the end is not seen: that is
/// the journal as it was before.
fn refuses_damage(records: &[Vec<u8>], damage: &mut Damage) {
    let at = damage.below(records.len());
    let mut damaged = records.to_vec();
    damaged[at] = damage.flipped(&records[at]);
    assert!(open(&damaged).is_err(), "a bit of record {at} was flipped");
    damaged[at] = damage.cut(&records[at]);
    assert!(open(&damaged).is_err(), "record {at} was cut short");
    damaged[at] = [records[at].as_slice(), b" "].concat();
    assert!(open(&damaged).is_err(), "record {at} has grown");
    damaged = records.to_vec();
    damaged.push(records[at].clone());
    assert!(open(&damaged).is_err(), "record {at} comes twice");
    if at + 1 < records.len() {
        damaged = records.to_vec();
        damaged.remove(at);
        assert!(open(&damaged).is_err(), "record {at} is missing");
        damaged = records.to_vec();
        damaged.swap(at, at + 1);
        assert!(open(&damaged).is_err(), "record {at} changed places");
    }
}

/// A summary is of exactly the steps of the plan.
fn in_words(records: &[Vec<u8>]) {
    let (store, run) = holding(records);
    if let Ok(summary) = within(summary(&store, &run)) {
        assert_eq!(summary.id, run);
        assert!(!summary.state_text().is_empty());
        assert!(summary.ended.is_none() || summary.ending.is_some());
    }
}

fn open(records: &[Vec<u8>]) -> Result<RunState> {
    let (store, run) = holding(records);
    within(Journal::open(&store, &run)).map(|journal| journal.state().clone())
}

/// A store with the journal of one run.
fn holding(records: &[Vec<u8>]) -> (Store, RunId) {
    let id = "run-20260102t030405z-0123456789abcdef";
    let run: RunId = id.parse().expect("an id");
    let store = Store::over(Arc::new(InMemory::new()));
    within(async {
        for (n, bytes) in records.iter().enumerate() {
            let name = Name::new(format!("runs/{run}/journal/{:08}.json", n + 1));
            let name = name.expect("a name");
            store.put_new(&name, bytes.clone()).await.expect("written");
        }
    });
    (store, run)
}

/// Runs to the end.
pub(super) fn within<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
    }
    let start = || {
        let started = Builder::new_current_thread().enable_all().build();
        started.expect("a runtime")
    };
    RUNTIME.with(|runtime| runtime.get_or_init(start).block_on(work))
}
