//! What the trials came to.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::join_all;

use crate::arena::Arena;
use crate::faults::{self, Case, Extent};
use crate::strike::Striker;
use crate::trial::{Ended, Outcome};
use crate::world::Scene;

/// One trial and what came of it: what it found wrong, if it did.
pub struct Tried {
    /// What struck.
    pub what: String,
    /// What came of it, or what was found.
    pub result: Result<Outcome, String>,
}

/// The trials of a family.
pub struct Tally {
    /// Its name.
    pub family: &'static str,
    /// Each of them.
    pub tried: Vec<Tried>,
    /// How long it took.
    pub took: Duration,
}

impl Tally {
    /// How many ended in this way.
    pub fn ended(&self, ended: Ended) -> usize {
        self.outcomes().filter(|o| o.ended == ended).count()
    }

    /// How many were struck.
    pub fn struck(&self) -> usize {
        self.outcomes().filter(|o| o.struck).count()
    }

    /// What was found, a line each.
    pub fn findings(&self) -> Vec<String> {
        let mut found = Vec::new();
        for tried in &self.tried {
            match &tried.result {
                Err(why) => found.push(format!("{}: {why}", tried.what)),
                Ok(outcome) if !outcome.struck => found.push(format!("{}: NOT STRUCK", tried.what)),
                Ok(_) => {}
            }
        }
        found
    }

    fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.tried.iter().filter_map(|t| t.result.as_ref().ok())
    }
}

/// Tries the cases of a family that contain `only`, on rebuilds of these kinds, on so many servers
/// at once.
pub async fn try_family(
    family: &str,
    scenes: &[Scene],
    workers: usize,
    extent: Extent,
    only: &str,
    tell: &dyn Fn(&Tried),
) -> Tally {
    let began = Instant::now();
    let striker = Arc::new(Striker::build());
    let prepare = (0..workers).map(|_| Arena::prepare(striker.clone(), scenes));
    let arenas = join_all(prepare).await;
    let mut cases = faults::cases(family, &arenas[0], extent).await;
    cases.retain(|case| case.what.contains(only));
    let family = cases.first().expect("a family has cases").family;
    let length = cases.len();
    let queue = std::cell::RefCell::new(cases.into_iter());
    let next = || queue.borrow_mut().next();
    let work = arenas.iter().map(async |arena| {
        let mut tried = Vec::new();
        while let Some(case) = next() {
            let one = try_one(arena, case).await;
            tell(&one);
            tried.push(one);
        }
        tried
    });
    let tried: Vec<Tried> = join_all(work).await.into_iter().flatten().collect();
    assert_eq!(tried.len(), length, "{family}: each case was tried");
    Tally {
        family,
        tried,
        took: began.elapsed(),
    }
}

async fn try_one(arena: &Arena, case: Case) -> Tried {
    let act = AssertUnwindSafe((case.act)(arena)).catch_unwind();
    Tried {
        what: case.what,
        result: act.await.map_err(|panic| message(&*panic)),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked").to_owned()
}
