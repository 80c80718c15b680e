//! A server on which faults strike, and what its rebuilds come to when nothing does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rebuild_core::testing::cluster_options;

use crate::strike::{Aim, Call, Deed, Striker, tally};
use crate::world::{Point, Scene, State, Target, World};

/// What a kind of rebuild comes to when nothing strikes.
pub struct Clean {
    /// The target before.
    pub old: State,
    /// The target afterwards.
    pub new: State,
    /// What the run tells of, in order.
    pub points: Vec<Point>,
    /// How long it takes.
    pub took: Duration,
}

impl Clean {
    /// The moments at which a step begins.
    pub fn beginnings(&self) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(|p| p.event == "step-started")
    }
}

/// A server of its own, the kinds of rebuild it was shown, and what strikes them.
pub struct Arena {
    /// The server.
    pub world: World,
    /// What strikes calls to the system.
    pub striker: Arc<Striker>,
    clean: BTreeMap<Scene, Clean>,
    made: AtomicUsize,
}

impl Arena {
    /// A server, and one rebuild of each of `scenes` that nothing strikes.
    pub async fn prepare(striker: Arc<Striker>, scenes: &[Scene]) -> Self {
        Self::prepare_in(striker, scenes, None).await
    }

    /// The same, with the server in this folder.
    pub async fn prepare_in(
        striker: Arc<Striker>,
        scenes: &[Scene],
        folder: Option<&Path>,
    ) -> Self {
        let mut options = cluster_options();
        if let Some(folder) = folder {
            options.parent_dir = Some(folder.to_owned());
        }
        let world = World::start_with(options).await;
        if scenes.contains(&Scene::Refresh) {
            world.make_production().await;
        }
        if scenes.contains(&Scene::Owner) {
            world.make_owned().await;
        }
        let mut arena = Self {
            world,
            striker,
            clean: BTreeMap::new(),
            made: AtomicUsize::new(0),
        };
        for scene in scenes {
            let clean = arena.run_clean(*scene).await;
            arena.clean.insert(*scene, clean);
        }
        arena
    }

    /// What a rebuild of this kind comes to when nothing strikes it.
    pub fn clean(&self, scene: Scene) -> &Clean {
        &self.clean[&scene]
    }

    /// The kinds of rebuild that it was shown.
    pub fn scenes(&self) -> impl Iterator<Item = Scene> {
        self.clean.keys().copied()
    }

    /// A database of its own for a rebuild.
    pub async fn target(&self, scene: Scene) -> Target<'_> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let mut target = self.world.target_of(&format!("t{number}_"), scene).await;
        let temporary = target.folder.join("tmp");
        std::fs::create_dir(&temporary).expect("a folder for temporary files");
        let variable = ("TMPDIR".to_owned(), temporary.display().to_string());
        target.environment.push(variable);
        target
    }

    /// How many such calls a rebuild makes when nothing strikes it.
    pub async fn count(&self, scene: Scene, call: Call, path: &'static str) -> usize {
        let mut target = self.target(scene).await;
        let aim = Aim {
            call,
            path,
            at: 0,
            times: 0,
            deed: Deed::KillBefore,
        };
        let marks = target.folder.join("tally");
        target
            .environment
            .extend(self.striker.variables(&aim, &marks));
        target.rebuild(&["run"]).await.expect(0);
        target.drop_databases().await;
        let (calls, struck) = tally(&marks);
        assert!(calls > 0, "{call:?} of {path:?} are counted");
        assert_eq!(struck, 0);
        calls
    }

    async fn run_clean(&self, scene: Scene) -> Clean {
        let target = self.target(scene).await;
        let old = State::of(&target).await;
        let began = Instant::now();
        let run = target.rebuild_json(&["run"]).await.expect(0);
        let took = began.elapsed();
        let new = State::of(&target).await;
        assert!(old != new, "{scene}: the rebuild changes something");
        let points = run.points();
        assert!(points.len() > 16, "{scene}: {points:?}");
        target.drop_databases().await;
        Clean {
            old,
            new,
            points,
            took,
        }
    }
}
