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

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    /// Pieces that are not done, by stage.
    open: [usize; STAGES],
    /// Pieces of rows that are not loaded, by table.
    rows_open: HashMap<String, usize>,
    /// Who works on what.
    busy: Busy,
    failed: bool,
}

#[derive(Default)]
struct Busy {
    /// Holders of each table: exclusive ones count as [`EXCLUSIVE`].
    held: HashMap<String, usize>,
    /// Pieces that must be done in order and are being done.
    in_order: usize,
}

struct Waiting {
    item: Item,
    weight: Weight,
}

const STAGES: usize = 6;
const EXCLUSIVE: usize = 1 << 20;

/// Small pieces that one worker does in one transaction. Each locks a table and what belongs to
/// it, and a server has room for some thousands of locks.
const TOGETHER: usize = 20;

/// Pieces of tables with no more bytes of rows than this are small.
const SMALL: Weight = 1 << 20;

/// Rows and builds overlap; what comes after waits for all of them. A function of an index may read other tables,
/// whatever it says of itself, and what it found there stays in the index: its build waits for all rows.
fn stage(work: &Work) -> usize {
    match work {
        Work::Before { .. } => 0,
        Work::Build { sql, .. } if calls_functions(sql) => 2,
        Work::Rows { .. }
        | Work::Stream { .. }
        | Work::CsvFile { .. }
        | Work::LargeObjects
        | Work::Build { .. } => 1,
        Work::Attach { .. } => 3,
        Work::ForeignKey { .. } => 4,
        Work::Then { .. } => 5,
    }
}

/// True if a statement of pg_dump may call a function or an operator that is not the server's own: those alone are
/// written with their schema, `s.f(` and `OPERATOR(s.+)`. What looks like it and is none only waits.
fn calls_functions(sql: &str) -> bool {
    if sql.contains("OPERATOR(") {
        return true;
    }
    sql.match_indices('.').any(|(at, _)| {
        let name = &sql[at + 1..];
        let after = match name.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').map_or("", |(_, after)| after),
            None => name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_' || c == '$'),
        };
        // A quote in a name ends it here.
        after.starts_with(['(', '"'])
    })
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

/// True for what can be done in one transaction with others.
fn is_small(waiting: &Waiting) -> bool {
    waiting.weight <= SMALL && !matches!(waiting.item.work, Work::LargeObjects)
}

/// What a worker is to do next.
pub(super) enum Next {
    /// These, in one transaction.
    Do(Vec<Item>),
    /// Wait until something is done.
    Wait,
    /// Nothing is left.
    Nothing,
}

impl Schedule {
    /// A schedule of `items`. `about` gives the quoted name of the table that a piece of rows
    /// goes into, and the weight of a piece.
    pub(super) fn new(items: Vec<Item>, about: impl Fn(&Work) -> (Option<String>, Weight)) -> Self {
        let mut state = State::default();
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
        let taken = state.take_some();
        if taken.is_empty() {
            return Next::Wait;
        }
        Next::Do(taken)
    }

    /// Resolves when something was done since the call.
    pub(super) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Tells that `items` are done; `table` gives the table that the rows of a piece went into.
    pub(super) fn done<'a>(&self, items: &[Item], table: impl Fn(&Work) -> Option<&'a str>) {
        let mut state = self.lock();
        for Item { work, .. } in items {
            state.busy.give(work);
            state.open[stage(work)] -= 1;
            if let Some(table) = work.rows_of().and_then(|_| table(work))
                && let Some(open) = state.rows_open.get_mut(table)
            {
                *open -= 1;
            }
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
    /// Takes the first piece that is ready, and if that is small, others that are.
    fn take_some(&mut self) -> Vec<Item> {
        let mut taken = Vec::new();
        // Who does them all is not in its own way.
        let mut mine = Busy::default();
        let mut at = 0;
        while taken.len() < TOGETHER && at < self.waiting.len() {
            let waiting = &self.waiting[at];
            let small = is_small(waiting);
            if !(small || taken.is_empty()) || !self.is_ready(waiting, &mine) {
                at += 1;
                continue;
            }
            let Waiting { item, .. } = self.waiting.remove(at);
            mine.take(&item.work);
            self.busy.take(&item.work);
            taken.push(item);
            if !small {
                break;
            }
        }
        taken
    }

    /// True if nobody else than who does `mine` is in the way.
    fn is_ready(&self, waiting: &Waiting, mine: &Busy) -> bool {
        let work = &waiting.item.work;
        if self.open[..stage(work)].iter().any(|open| *open > 0) {
            return false;
        }
        if in_order(work) && self.busy.in_order > mine.in_order {
            return false;
        }
        if let Work::Build { table, .. } = work
            && self.rows_open.get(table).is_some_and(|open| *open > 0)
        {
            return false;
        }
        locks(work).iter().all(|(table, mode)| {
            let held = self.busy.on(table) - mine.on(table);
            held == 0 || (*mode == 1 && held < EXCLUSIVE)
        })
    }
}

impl Busy {
    fn on(&self, table: &str) -> usize {
        self.held.get(table).copied().unwrap_or(0)
    }

    fn take(&mut self, work: &Work) {
        self.in_order += usize::from(in_order(work));
        for (table, mode) in locks(work) {
            *self.held.entry(table.to_owned()).or_default() += mode;
        }
    }

    fn give(&mut self, work: &Work) {
        self.in_order -= usize::from(in_order(work));
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

    /// Of large tables: one piece at a time.
    fn take(schedule: &Schedule) -> Option<Item> {
        match schedule.next() {
            Next::Do(items) => {
                let [item] = <[Item; 1]>::try_from(items).expect("one piece");
                Some(item)
            }
            Next::Wait | Next::Nothing => None,
        }
    }

    fn done(schedule: &Schedule, item: &Item, table: Option<&str>) {
        schedule.done(std::slice::from_ref(item), |_| table);
    }

    #[test]
    fn an_index_that_calls_a_function_waits_for_all_rows() {
        for (sql, waits) in [
            (
                "CREATE INDEX i ON public.t USING btree (a, lower(b)) WHERE (a > 0)",
                false,
            ),
            (
                "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT k PRIMARY KEY (a)",
                false,
            ),
            (
                "CREATE INDEX i ON public.t USING btree (public.rate_of(a))",
                true,
            ),
            (
                "CREATE INDEX i ON public.t USING btree (a) WHERE \"My S\".\"f g\"(a)",
                true,
            ),
            (
                "CREATE INDEX i ON public.t USING gin (a public.gin_trgm_ops)",
                false,
            ),
            (
                "CREATE INDEX i ON public.t USING btree (((a OPERATOR(public.+) b)))",
                true,
            ),
        ] {
            let build = Work::Build {
                sql: sql.to_owned(),
                table: "t0".to_owned(),
                exclusive: false,
            };
            let items = vec![item(1, rows(0)), item(2, rows(1)), item(3, build)];
            let schedule = Schedule::new(items, |work| match work {
                Work::Rows { entry, .. } => (Some(format!("t{entry}")), SMALL + 1),
                _ => (None, SMALL + 1),
            });
            let first = take(&schedule).expect("rows of t0");
            let second = take(&schedule).expect("rows of t1");
            done(&schedule, &first, Some("t0"));
            assert_eq!(take(&schedule).is_none(), waits, "{sql}");
            done(&schedule, &second, Some("t1"));
            assert_eq!(take(&schedule).is_some(), waits, "{sql}");
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
            Work::Rows { entry, .. } => (Some(format!("t{entry}")), SMALL + 10 - *entry as u64),
            _ => (None, SMALL + 1),
        });
        let first = take(&schedule).expect("rows of t0");
        assert_eq!(first.id, 1);
        let second = take(&schedule).expect("rows of t1");
        assert_eq!(second.id, 2);
        assert!(take(&schedule).is_none(), "builds wait for their rows");
        done(&schedule, &first, Some("t0"));
        let exclusive = take(&schedule).expect("a build");
        assert_eq!(exclusive.id, 3);
        assert!(take(&schedule).is_none(), "the table is held");
        done(&schedule, &exclusive, None);
        let (a, b) = (take(&schedule).expect("a"), take(&schedule).expect("b"));
        assert_eq!((a.id, b.id), (4, 5), "shared builds go together");
        done(&schedule, &a, None);
        done(&schedule, &b, None);
        assert!(take(&schedule).is_none(), "keys wait for all rows");
        done(&schedule, &second, Some("t1"));
        let key = take(&schedule).expect("a key");
        assert!(take(&schedule).is_none(), "the other key needs t1 as well");
        done(&schedule, &key, None);
        let other = take(&schedule).expect("the other key");
        done(&schedule, &other, None);
        let then = take(&schedule).expect("the first of the rest");
        assert_eq!(then.id, 8);
        assert!(take(&schedule).is_none(), "the rest is done in order");
        done(&schedule, &then, None);
        let last = take(&schedule).expect("the last");
        done(&schedule, &last, None);
        assert!(matches!(schedule.next(), Next::Nothing));
    }

    #[test]
    fn nothing_is_handed_out_after_a_failure() {
        let schedule = Schedule::new(vec![item(1, rows(0))], |_| (None, 1));
        schedule.fail();
        assert!(matches!(schedule.next(), Next::Nothing));
    }

    fn assert_apart(some: &[Item], others: &[Item]) {
        let others: HashMap<&str, usize> = others.iter().flat_map(|i| locks(&i.work)).collect();
        for (table, mode) in some.iter().flat_map(|i| locks(&i.work)) {
            let held = others.get(table);
            assert!(held.is_none_or(|held| *held == 1 && mode == 1), "{table}");
        }
    }

    #[test]
    fn small_pieces_go_together_and_keep_others_out() {
        let key = |tables: [&str; 2]| Work::ForeignKey {
            sql: String::new(),
            tables: tables.map(str::to_owned).to_vec(),
            held_as: None,
        };
        let tables = 2 * TOGETHER;
        let mut works: Vec<Work> = (0..tables).map(rows).collect();
        for n in 0..tables {
            works.push(build(&format!("t{n}"), true));
            works.push(build(&format!("t{n}"), false));
        }
        for n in 1..tables {
            works.push(key([&format!("t{n}"), &format!("t{}", n - 1)]));
        }
        works.extend([1, 2].map(|_| Work::Then { sql: String::new() }));
        let count = works.len();
        let items = (1..).zip(works).map(|(id, w)| item(id, w)).collect();
        let name = |work: &Work| work.rows_of().map(|entry| format!("t{entry}"));
        let schedule = Schedule::new(items, |work| (name(work), 1));
        let names: Vec<String> = (0..tables).map(|n| format!("t{n}")).collect();
        let table = |work: &Work| Some(names[work.rows_of()?].as_str());

        // Two workers by turns: what they do at the same time is not in each other's way.
        let mut held: Vec<Vec<Item>> = Vec::new();
        let (mut done, mut turns) = (0, 0);
        loop {
            let waits = match schedule.next() {
                Next::Do(items) => {
                    assert!(items.len() <= TOGETHER);
                    for other in &held {
                        assert_apart(&items, other);
                    }
                    held.push(items);
                    turns += 1;
                    false
                }
                Next::Wait => true,
                Next::Nothing => break,
            };
            if waits || held.len() == 2 {
                let items = held.remove(0);
                done += items.len();
                schedule.done(&items, table);
            }
        }
        done += held.iter().map(Vec::len).sum::<usize>();
        assert_eq!(done, count);
        assert!(turns < count / 8, "{turns} turns for {count} pieces");
    }
}
