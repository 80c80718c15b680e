//! The process is killed at every boundary of every step that it tells of, and one command brings
//! the database to the new state or back to the old one.

use rustix::process::Signal;

use crate::world::{ASIDE, IN_PLACE, Point, State, Target, World};

/// The one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Resume,
    Rollback,
}

impl Way {
    fn verb(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::Rollback => "rollback",
        }
    }
}

/// A server, the points of a run, and the state before and after one that nobody killed.
struct Sweep {
    world: World,
    strategy: &'static str,
    points: Vec<Point>,
    old: State,
    new: State,
}

impl Sweep {
    async fn prepare(strategy: &'static str) -> Self {
        let world = World::start().await;
        let target = world.target("clean", strategy).await;
        let old = State::of(&target).await;
        let run = target.rebuild_json(&["run"]).await.expect(0);
        let points = run.points();
        let steps = points.iter().filter(|p| p.event == "step-started").count();
        assert_eq!(run.json()["ending"], "done");
        assert!(steps >= 9, "{points:?}");
        assert_eq!(
            points.len(),
            2 * steps,
            "each step begins and ends once: {points:?}"
        );
        let new = State::of(&target).await;
        assert_ne!(old.schema, new.schema, "the rebuild mends the drift");
        assert_eq!(old.tables["public.person"], new.tables["public.person"]);
        target.drop_databases().await;
        drop(target);
        Self {
            world,
            strategy,
            points,
            old,
            new,
        }
    }

    /// Each point in turn. Of every two neighbours one is resumed and one rolled back.
    async fn every_point(&self) {
        let mut struck = 0;
        for (i, point) in self.points.iter().enumerate() {
            let way = if (i / 2 + i).is_multiple_of(2) {
                Way::Resume
            } else {
                Way::Rollback
            };
            self.round(i, point, way).await;
            struck += 1;
        }
        assert_eq!(struck, self.points.len());
    }

    async fn round(&self, i: usize, point: &Point, way: Way) {
        let at = format!("killed at {point:?}, then {way:?}");
        let target = self.killed(&format!("round_{i}"), point).await;
        let old_oid = target.old_oid;
        let target = target.target;
        let run = target.rebuild_json(&[way.verb()]).await.expect(0);
        match way {
            Way::Resume => self.expect_new(&target, old_oid, &at).await,
            Way::Rollback => self.expect_old(&target, old_oid, point, &at).await,
        }
        assert_eq!(
            run.json()["ending"],
            if way == Way::Resume {
                "done"
            } else {
                "rolled-back"
            },
            "{at}"
        );
        target.drop_databases().await;
    }

    /// A fresh database whose run was killed at `point`; the old database is still there.
    async fn killed(&self, name: &str, point: &Point) -> Struck<'_> {
        // The last event comes when the run is all but over, so a kill may come too late to
        // strike. That is no round, and it is taken again with another database.
        for attempt in 0..8 {
            let target = self
                .world
                .target(&format!("{name}_{attempt}"), self.strategy)
                .await;
            let old_oid = target.oid().await;
            let run = target.signal_at(&["run"], point, Signal::KILL).await;
            assert!(
                run.points().contains(point),
                "{point:?} was not seen: {run:?}"
            );
            if run.was_killed() {
                assert!(
                    target.name_of(old_oid).await.is_some(),
                    "killed at {point:?}: the old database is gone"
                );
                return Struck { target, old_oid };
            }
            target.drop_databases().await;
        }
        panic!("the run was never killed at {point:?}: it always ended first");
    }

    /// The same, and what `verb` did then was killed as well, at `second`; or it `may_end` first.
    async fn killed_twice(
        &self,
        name: &str,
        first: &Point,
        verb: &str,
        second: &Point,
        may_end: bool,
    ) -> Struck<'_> {
        // As above: what ends before the kill comes is no round.
        for attempt in 0..8 {
            let struck = self.killed(&format!("{name}_{attempt}"), first).await;
            let run = struck.target.signal_at(&[verb], second, Signal::KILL).await;
            assert!(
                run.points().contains(second),
                "{second:?} was not seen: {run:?}"
            );
            if run.was_killed() || (may_end && run.code() == Some(0)) {
                return struck;
            }
            struck.target.drop_databases().await;
        }
        panic!("{verb} was never killed at {second:?}: it always ended first");
    }

    /// The target is the new state, the old database stands beside it whole, and nothing else.
    async fn expect_new(&self, target: &Target<'_>, old_oid: u32, at: &str) {
        self.world.settle().await;
        assert_ne!(target.oid().await, old_oid, "{at}: a new database");
        State::of(target).await.expect(&self.new, at);
        let retired = target
            .name_of(old_oid)
            .await
            .expect("the old database is kept");
        assert_eq!(
            self.world.databases().await,
            [target.name.clone(), retired.clone()],
            "{at}"
        );
        let open = format!("alter database {retired:?} allow_connections true");
        self.world
            .admin()
            .await
            .batch_execute(&open)
            .await
            .expect("opened");
        let kept = State::of_database(&self.world, &retired).await;
        assert_eq!(kept.tables, self.old.tables, "{at}: the retired rows");
        assert_eq!(kept.schema, self.old.schema, "{at}: the retired schema");
    }

    /// The target is the old database again; the new one is kept only if it may have been in use.
    async fn expect_old(&self, target: &Target<'_>, old_oid: u32, point: &Point, at: &str) {
        self.world.settle().await;
        assert_eq!(target.oid().await, old_oid, "{at}: the same database");
        State::of(target).await.expect(&self.old, at);
        let mut others = self.world.databases().await;
        others.retain(|name| *name != target.name);
        let place = |event: &str, step: &str| {
            let wanted = Point::new(event, step);
            self.points
                .iter()
                .position(|p| *p == wanted)
                .expect("a point of the run")
        };
        let here = place(&point.event, &point.step);
        if here < place("step-started", "promote") {
            assert_eq!(others, [""; 0], "{at}: nothing staged is left");
        } else if here >= place("step-finished", "promote") {
            assert_eq!(
                others.len(),
                1,
                "{at}: what was in service is kept: {others:?}"
            );
        } else {
            assert!(others.len() <= 1, "{at}: {others:?}");
        }
    }
}

struct Struck<'a> {
    target: Target<'a>,
    old_oid: u32,
}

#[tokio::test]
async fn aside_at_every_step() {
    Sweep::prepare(ASIDE).await.every_point().await;
}

#[tokio::test]
async fn in_place_at_every_step() {
    Sweep::prepare(IN_PLACE).await.every_point().await;
}

/// Killed while it goes on after a kill, and killed again while it goes back from there.
#[tokio::test]
async fn killed_again_and_again() {
    for strategy in [ASIDE, IN_PLACE] {
        let sweep = Sweep::prepare(strategy).await;
        sweep.twice_forward().await;
        sweep.on_the_way_back().await;
    }
}

impl Sweep {
    async fn twice_forward(&self) {
        let first = Point::new("step-started", "schema");
        for (i, second) in ["schema", "restore", "promote"].iter().enumerate() {
            let at = format!("killed at {first:?}, and then in {second}");
            let second = Point::new("step-started", second);
            let name = format!("twice_{i}");
            let Struck { target, old_oid } = self
                .killed_twice(&name, &first, "resume", &second, false)
                .await;
            target.rebuild_json(&["resume"]).await.expect(0);
            self.expect_new(&target, old_oid, &at).await;
            target.drop_databases().await;
        }
    }

    /// The undoing of a run that was in service is killed at each of its own events.
    async fn on_the_way_back(&self) {
        let point = Point::new("step-finished", "promote");
        let Struck { target, .. } = self.killed("back", &point).await;
        let undoing: Vec<Point> = target.rebuild_json(&["rollback"]).await.expect(0).points();
        assert!(undoing.len() >= 4, "{undoing:?}");
        target.drop_databases().await;
        for (i, undo) in undoing.iter().enumerate() {
            let at = format!("the way back killed at {undo:?}");
            // The last event comes when it is all but over; what counts is what is there then.
            let last = i + 1 == undoing.len();
            let name = format!("back_{i}");
            let Struck { target, old_oid } = self
                .killed_twice(&name, &point, "rollback", undo, last)
                .await;
            // A rollback that is resumed goes on back.
            let (verb, code) = if i.is_multiple_of(2) {
                ("rollback", 0)
            } else {
                ("resume", 1)
            };
            let run = target.rebuild_json(&[verb]).await.expect(code);
            assert_eq!(run.json()["ending"], "rolled-back", "{at}");
            self.expect_old(&target, old_oid, &point, &at).await;
            target.drop_databases().await;
        }
    }
}
