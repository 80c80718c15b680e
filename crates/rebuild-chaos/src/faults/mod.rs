//! The faults, by what strikes.

mod clock;
mod damage;
mod disk;
mod full_server;
mod kill;
mod operators;
mod people;
mod programs;
mod random;
mod rights;
mod server;
mod signals;
mod wire;
mod writers;

use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::arena::Arena;
use crate::random::Random;
use crate::services::{CloudSql, CloudSqlAside, Kubernetes, KubernetesAside, Service};
use crate::strike::{Aim, tally};
use crate::trial::{Outcome, Struck, Way};
use crate::world::{Scene, Target};

/// One trial to come, in an arena of databases or in the lab of a service.
pub struct Case<In = Arena> {
    /// What kind of fault it is.
    pub family: &'static str,
    /// Which one.
    pub what: String,
    /// Strikes, takes the way out, and looks.
    pub act: Act<In>,
}

/// What a case does there; it panics if it finds something.
pub type Act<In = Arena> = Box<dyn for<'a> FnOnce(&'a In) -> LocalBoxFuture<'a, Outcome>>;

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// One in how many points of a sweep is struck; 1 is all of them.
    pub every: usize,
    /// One in how many messages to the server is struck.
    pub every_message: usize,
    /// One in how many requests to the API of a service is struck, and kinds of trouble.
    pub every_request: usize,
    /// How many times the program is killed at a random time.
    pub random: usize,
    /// The same for each service.
    pub random_service: usize,
    /// Where the random times come from.
    pub seed: u64,
}

impl Extent {
    /// The points of a sweep that are struck: all, or a random part of them.
    pub(crate) fn of<T>(&self, points: impl IntoIterator<Item = T>) -> Vec<T> {
        self.one_in(self.every, points)
    }

    pub(crate) fn one_in<T>(&self, every: usize, points: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut points: Vec<T> = points.into_iter().collect();
        if every > 1 {
            let mut random = Random::of(self.seed);
            for place in (1..points.len()).rev() {
                points.swap(place, random.below(place + 1));
            }
            points.truncate(points.len().div_ceil(every));
        }
        points
    }
}

/// The families, in the order in which they are tried.
pub const FAMILIES: [&str; 32] = [
    kill::JOURNAL,
    kill::STORE,
    kill::MESSAGES,
    random::FAMILY,
    signals::FAMILY,
    server::FAMILY,
    wire::FAMILY,
    disk::FAMILY,
    full_server::FAMILY,
    clock::FAMILY,
    damage::FAMILY,
    operators::FAMILY,
    writers::FAMILY,
    rights::FAMILY,
    people::FAMILY,
    programs::FAMILY,
    Kubernetes::FAMILIES[0],
    Kubernetes::FAMILIES[1],
    Kubernetes::FAMILIES[2],
    Kubernetes::FAMILIES[3],
    KubernetesAside::FAMILIES[0],
    KubernetesAside::FAMILIES[1],
    KubernetesAside::FAMILIES[2],
    KubernetesAside::FAMILIES[3],
    CloudSql::FAMILIES[0],
    CloudSql::FAMILIES[1],
    CloudSql::FAMILIES[2],
    CloudSql::FAMILIES[3],
    CloudSqlAside::FAMILIES[0],
    CloudSqlAside::FAMILIES[1],
    CloudSqlAside::FAMILIES[2],
    CloudSqlAside::FAMILIES[3],
];

/// The kinds of rebuild that a family strikes.
pub fn scenes(family: &str) -> &'static [Scene] {
    match family {
        rights::FAMILY => &[Scene::Owner],
        full_server::FAMILY | damage::FAMILY | writers::FAMILY => &[Scene::Aside, Scene::InPlace],
        programs::FAMILY => &[Scene::Load],
        _ => &Scene::ALL,
    }
}

/// Why a family cannot be tried on this machine, if it cannot.
pub fn missing(family: &str) -> Option<&'static str> {
    let root = rustix::process::geteuid().is_root();
    (family == full_server::FAMILY && !root).then_some("only root can mount a small disk")
}

/// What is to be tried of a family, each case known before the first strikes.
pub async fn cases(family: &str, arena: &Arena, extent: Extent) -> Vec<Case> {
    match family {
        kill::JOURNAL | kill::STORE | kill::MESSAGES => kill::cases(family, arena, extent).await,
        random::FAMILY => random::cases(arena, extent),
        signals::FAMILY => signals::cases(arena, extent),
        server::FAMILY => server::cases(arena, extent),
        wire::FAMILY => wire::cases(arena, extent).await,
        disk::FAMILY => disk::cases(arena, extent).await,
        full_server::FAMILY => full_server::cases(arena, extent),
        rights::FAMILY => rights::cases(arena, extent),
        damage::FAMILY => damage::cases(arena, extent).await,
        operators::FAMILY => operators::cases(arena, extent),
        writers::FAMILY => writers::cases(arena, extent),
        people::FAMILY => people::cases(arena, extent),
        programs::FAMILY => programs::cases(extent),
        clock::FAMILY => clock::cases(arena, extent),
        _ => Vec::new(),
    }
}

/// A fault that comes too late to strike at this percentage of the way is not tried again.
const SOONEST: u16 = 45;

/// How much sooner a fault is to strike than it was aimed, in percent of the way there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sooner(u16);

impl Sooner {
    /// So many of what comes first.
    pub(crate) fn of_number(self, number: usize) -> usize {
        number * usize::from(self.0) / 100
    }

    fn of_bytes(self, bytes: u64) -> u64 {
        bytes * u64::from(self.0) / 100
    }

    pub(crate) fn of_time(self, time: Duration) -> Duration {
        time * u32::from(self.0) / 100
    }

    /// The first call is not struck sooner.
    pub(crate) fn of_aim(self, aim: &Aim) -> Aim {
        let at = (aim.at * usize::from(self.0)).div_ceil(100);
        Aim { at, ..*aim }
    }
}

/// A case of one fault in one rebuild, with another database each time that it is tried.
fn case<F>(family: &'static str, what: String, scene: Scene, way: Way, fault: F) -> Case
where
    F: AsyncFn(&Arena, &mut Target<'_>, Sooner) -> Struck + 'static,
{
    until_struck(family, what, async move |arena: &Arena, sooner| {
        let strike = async |target: &mut Target<'_>| fault(arena, target, sooner).await;
        arena.trial(scene, way, strike).await
    })
}

/// A case that is tried again, sooner each time, if the rebuild ended before the fault could strike.
pub(crate) fn until_struck<In, F>(family: &'static str, what: String, trial: F) -> Case<In>
where
    F: AsyncFn(&In, Sooner) -> Outcome + 'static,
{
    let act: Act<In> = Box::new(move |place| {
        Box::pin(async move {
            let mut sooner = Sooner(100);
            loop {
                let outcome = trial(place, sooner).await;
                if outcome.struck || sooner.0 < SOONEST {
                    return outcome;
                }
                sooner.0 = sooner.0 * 85 / 100;
            }
        })
    });
    Case { family, what, act }
}

/// A case for each point of a sweep, `what` says which one it is. The ways out are taken by turns.
fn sweep<T, F>(
    family: &'static str,
    points: Vec<(Scene, T)>,
    what: impl Fn(&T) -> String,
    fault: F,
) -> Vec<Case>
where
    T: 'static,
    F: AsyncFn(&Arena, &mut Target<'_>, &T, Sooner) -> Struck + Copy + 'static,
{
    let cases = points.into_iter().enumerate().map(|(n, (scene, point))| {
        let what = format!("{scene}: {}", what(&point));
        let strike = async move |arena: &Arena, target: &mut Target<'_>, sooner| {
            fault(arena, target, &point, sooner).await
        };
        case(family, what, scene, Way::by_turns(n), strike)
    });
    cases.collect()
}

/// Runs a rebuild whose calls are struck.
async fn aimed(arena: &Arena, target: &mut Target<'_>, aim: Aim) -> Struck {
    let marks = target.folder.join("tally");
    let variables = arena.striker.variables(&aim, &marks);
    target.environment.extend(variables);
    let run = target.rebuild_json(&["run"]).await;
    Struck {
        run,
        struck: tally(&marks).1 > 0,
    }
}
