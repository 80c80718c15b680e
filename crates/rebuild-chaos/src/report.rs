//! What the trials came to.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::join_all;

use crate::arena::Arena;
use crate::faults::{self, Case, Extent};
use crate::services::{self, CloudSql, CloudSqlAside, Kubernetes, KubernetesAside, Lab, Service};
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

/// How a family is tried.
pub struct Trying<'a> {
    /// On so many servers at once.
    pub workers: usize,
    /// How much of it.
    pub extent: Extent,
    /// The cases that contain this.
    pub only: &'a str,
    /// Hears of each one at once.
    pub tell: &'a dyn Fn(&Tried),
}

impl Trying<'_> {
    /// Tries a family, on rebuilds of these kinds if it is one of plain servers.
    pub async fn family(&self, family: &'static str, scenes: &[Scene]) -> Tally {
        let began = Instant::now();
        let striker = Arc::new(Striker::build());
        let tried = if Kubernetes::FAMILIES.contains(&family) {
            self.service::<Kubernetes>(family, striker).await
        } else if CloudSql::FAMILIES.contains(&family) {
            self.service::<CloudSql>(family, striker).await
        } else if KubernetesAside::FAMILIES.contains(&family) {
            self.service::<KubernetesAside>(family, striker).await
        } else if CloudSqlAside::FAMILIES.contains(&family) {
            self.service::<CloudSqlAside>(family, striker).await
        } else {
            let prepare = (0..self.workers).map(|_| Arena::prepare(striker.clone(), scenes));
            let arenas = join_all(prepare).await;
            let cases = faults::cases(family, &arenas[0], self.extent).await;
            self.all(&arenas.iter().collect::<Vec<_>>(), cases).await
        };
        Tally {
            family,
            tried,
            took: began.elapsed(),
        }
    }

    async fn service<S: Service>(&self, family: &str, striker: Arc<Striker>) -> Vec<Tried> {
        let lab = Lab::<S>::prepare(striker).await;
        let cases = services::cases(family, &lab, self.extent);
        self.all(&vec![&lab; self.workers], cases).await
    }

    /// Tries each case in one of the places, one at a time in each.
    async fn all<In>(&self, places: &[&In], mut cases: Vec<Case<In>>) -> Vec<Tried> {
        cases.retain(|case| case.what.contains(self.only));
        assert!(!cases.is_empty(), "a family has cases");
        let length = cases.len();
        let queue = std::cell::RefCell::new(cases.into_iter());
        let next = || queue.borrow_mut().next();
        let work = places.iter().map(async |place| {
            let mut tried = Vec::new();
            while let Some(case) = next() {
                let one = try_one(*place, case).await;
                (self.tell)(&one);
                tried.push(one);
            }
            tried
        });
        let tried: Vec<Tried> = join_all(work).await.into_iter().flatten().collect();
        assert_eq!(tried.len(), length, "each case was tried");
        tried
    }
}

async fn try_one<In>(place: &In, case: Case<In>) -> Tried {
    let act = AssertUnwindSafe((case.act)(place)).catch_unwind();
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
