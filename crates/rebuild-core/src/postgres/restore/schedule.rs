//! Which piece of work may be done when.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::work::{Item, Work};

/// How much a piece of work holds up the others.
pub(super) type Weight = u64;

/// Hands out pieces of work, the heaviest first, each once what it needs is done.
pub(super) struct Schedule {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    waiting: Vec<Waiting>,
    /// Pieces that are not done, by stage.
    open: [usize; STAGES],
    /// Pieces of rows that are not loaded, by table.
    rows_open: HashMap<String, usize>,
    /// Holders of each table: exclusive ones count as [`EXCLUSIVE`].
    held: HashMap<String, usize>,
    /// True while a piece that must be alone in its stage is being done.
    chain_busy: bool,
    failed: bool,
}

struct Waiting {
    item: Item,
    weight: Weight,
}

const STAGES: usize = 5;
const EXCLUSIVE: usize = 1 << 20;

/// Rows and builds overlap; what comes after waits for all of them.
fn stage(work: &Work) -> usize {
    match work {
        Work::Before { .. } => 0,
        Work::Rows { .. }
        | Work::Stream { .. }
        | Work::CsvFile { .. }
        | Work::LargeObjects
        | Work::Build { .. } => 1,
        Work::Attach { .. } => 2,
        Work::ForeignKey { .. } => 3,
        Work::Then { .. } => 4,
    }
}

/// True for what is done in the order of the list, one at a time.
fn in_order(work: &Work) -> bool {
    matches!(
        work,
        Work::Before { .. } | Work::Attach { .. } | Work::Then { .. }
    )
}

/// Tables that a piece locks, and how.
fn locks(work: &Work) -> Vec<(&str, usize)> {
    match work {
        Work::Build {
            table, exclusive, ..
        } => vec![(table, if *exclusive { EXCLUSIVE } else { 1 })],
        Work::ForeignKey { tables, .. } => {
            let mut names: Vec<&str> = tables.iter().map(String::as_str).collect();
            names.sort_unstable();
            names.dedup();
            names.into_iter().map(|t| (t, EXCLUSIVE)).collect()
        }
        _ => Vec::new(),
    }
}

/// What a worker is to do next.
pub(super) enum Next {
    /// This.
    Do(Item),
    /// Wait until something is done.
    Wait,
    /// Nothing is left.
    Nothing,
}

impl Schedule {
    /// A schedule of `items`. `about` gives the quoted name of the table that a piece of rows
    /// goes into, and the weight of a piece.
    pub(super) fn new(items: Vec<Item>, about: impl Fn(&Work) -> (Option<String>, Weight)) -> Self {
        let mut state = State {
            waiting: Vec::new(),
            open: [0; STAGES],
            rows_open: HashMap::new(),
            held: HashMap::new(),
            chain_busy: false,
            failed: false,
        };
        for item in items.into_iter().filter(|i| !i.done) {
            let (table, weight) = about(&item.work);
            state.open[stage(&item.work)] += 1;
            if let (Some(_), Some(table)) = (item.work.rows_of(), table) {
                *state.rows_open.entry(table).or_default() += 1;
            }
            state.waiting.push(Waiting { item, weight });
        }
        // Heaviest first; what must be in order stays in order.
        state
            .waiting
            .sort_by_key(|w| (stage(&w.item.work), std::cmp::Reverse(w.weight), w.item.id));
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    /// What to do next.
    pub(super) fn next(&self) -> Next {
        let mut state = self.lock();
        if state.failed || state.waiting.is_empty() {
            return Next::Nothing;
        }
        let ready = state.waiting.iter().position(|w| state.is_ready(w));
        let Some(at) = ready else {
            return Next::Wait;
        };
        let waiting = state.waiting.remove(at);
        state.take(&waiting.item.work);
        Next::Do(waiting.item)
    }

    /// Resolves when something was done since the call.
    pub(super) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Tells that `item`, whose rows went into `table`, is done.
    pub(super) fn done(&self, item: &Item, table: Option<&str>) {
        let mut state = self.lock();
        state.give(&item.work);
        state.open[stage(&item.work)] -= 1;
        if let (Some(_), Some(table)) = (item.work.rows_of(), table)
            && let Some(open) = state.rows_open.get_mut(table)
        {
            *open -= 1;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Tells that a piece failed: nothing more is handed out.
    pub(super) fn fail(&self) {
        self.lock().failed = true;
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_ready(&self, waiting: &Waiting) -> bool {
        let work = &waiting.item.work;
        let stage = stage(work);
        if self.open[..stage].iter().any(|open| *open > 0) {
            return false;
        }
        if in_order(work) && self.chain_busy {
            return false;
        }
        if let Work::Build { table, .. } = work
            && self.rows_open.get(table).is_some_and(|open| *open > 0)
        {
            return false;
        }
        locks(work).iter().all(|(table, mode)| {
            let held = self.held.get(*table).copied().unwrap_or(0);
            held == 0 || (*mode == 1 && held < EXCLUSIVE)
        })
    }

    fn take(&mut self, work: &Work) {
        self.chain_busy |= in_order(work);
        for (table, mode) in locks(work) {
            *self.held.entry(table.to_owned()).or_default() += mode;
        }
    }

    fn give(&mut self, work: &Work) {
        if in_order(work) {
            self.chain_busy = false;
        }
        for (table, mode) in locks(work) {
            if let Some(held) = self.held.get_mut(table) {
                *held -= mode;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: i32, work: Work) -> Item {
        Item {
            id,
            work,
            done: false,
        }
    }

    fn build(table: &str, exclusive: bool) -> Work {
        Work::Build {
            sql: String::new(),
            table: table.to_owned(),
            exclusive,
        }
    }

    fn rows(entry: usize) -> Work {
        Work::Rows {
            entry,
            from: 0,
            to: 1,
            whole: true,
        }
    }

    fn take(schedule: &Schedule) -> Option<Item> {
        match schedule.next() {
            Next::Do(item) => Some(item),
            Next::Wait | Next::Nothing => None,
        }
    }

    #[test]
    fn each_piece_waits_for_what_it_needs() {
        let key = |tables: &[&str]| Work::ForeignKey {
            sql: String::new(),
            tables: tables.iter().map(|t| (*t).to_owned()).collect(),
            held_as: None,
        };
        let then = || Work::Then { sql: String::new() };
        let works = [
            rows(0),
            rows(1),
            build("t0", true),
            build("t0", false),
            build("t0", false),
            key(&["t0", "t1"]),
            key(&["t1", "t1"]),
            then(),
            then(),
        ];
        let items = (1..).zip(works).map(|(id, w)| item(id, w)).collect();
        let schedule = Schedule::new(items, |work| match work {
            Work::Rows { entry, .. } => (Some(format!("t{entry}")), 10 - *entry as u64),
            _ => (None, 1),
        });
        let first = take(&schedule).expect("rows of t0");
        assert_eq!(first.id, 1);
        let second = take(&schedule).expect("rows of t1");
        assert_eq!(second.id, 2);
        assert!(take(&schedule).is_none(), "builds wait for their rows");
        schedule.done(&first, Some("t0"));
        let exclusive = take(&schedule).expect("a build");
        assert_eq!(exclusive.id, 3);
        assert!(take(&schedule).is_none(), "the table is held");
        schedule.done(&exclusive, None);
        let (a, b) = (take(&schedule).expect("a"), take(&schedule).expect("b"));
        assert_eq!((a.id, b.id), (4, 5), "shared builds go together");
        schedule.done(&a, None);
        schedule.done(&b, None);
        assert!(take(&schedule).is_none(), "keys wait for all rows");
        schedule.done(&second, Some("t1"));
        let key = take(&schedule).expect("a key");
        assert!(take(&schedule).is_none(), "the other key needs t1 as well");
        schedule.done(&key, None);
        let other = take(&schedule).expect("the other key");
        schedule.done(&other, None);
        let then = take(&schedule).expect("the first of the rest");
        assert_eq!(then.id, 8);
        assert!(take(&schedule).is_none(), "the rest is done in order");
        schedule.done(&then, None);
        let last = take(&schedule).expect("the last");
        schedule.done(&last, None);
        assert!(matches!(schedule.next(), Next::Nothing));
    }

    #[test]
    fn nothing_is_handed_out_after_a_failure() {
        let schedule = Schedule::new(vec![item(1, rows(0))], |_| (None, 1));
        schedule.fail();
        assert!(matches!(schedule.next(), Next::Nothing));
    }
}
