//! People who are in the way: they write although they were told not to, hold a lock for ever,
//! take a right away, or edit the spec between a run and its way out.

use rebuild_core::postgres::ident;
use rustix::process::Signal;

use super::{Case, Extent, case};
use crate::arena::Arena;
use crate::trial::{Struck, Way};
use crate::world::{Point, Scene};

pub(super) const FAMILY: &str = "a lock for ever, or a spec that is edited half-way";

pub(super) fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let mut all = Vec::new();
    for scene in arena.scenes() {
        all.push(locked(scene));
        for way in [Way::Resume, Way::Rollback] {
            for step in ["backup", "schema", "promote"] {
                // Steps that these kinds do not have.
                let missing = matches!(
                    (scene, step),
                    (Scene::InPlace, "promote") | (Scene::Refresh, "schema")
                );
                if !missing {
                    all.push(edited(scene, way, step));
                }
            }
        }
    }
    extent.of(all)
}

/// Somebody has begun to change the database, and does not commit.
fn locked(scene: Scene) -> Case {
    let what = format!("{scene}: somebody holds the database's row");
    case(
        FAMILY,
        what,
        scene,
        Way::Rollback,
        async |arena, target, _| {
            let admin = arena.world.admin().await;
            let name = ident(&target.name).expect("a name");
            let hold = format!("begin; alter database {name} connection limit 39");
            admin.batch_execute(&hold).await.expect("held");
            let run = target.rebuild_json(&["run"]).await;
            admin.batch_execute("rollback").await.expect("let go");
            assert_ne!(run.code(), Some(0), "{run:?}");
            Struck { run, struck: true }
        },
    )
}

/// The spec says something else by the time that the way out is taken.
fn edited(scene: Scene, way: Way, step: &'static str) -> Case {
    let what = format!(
        "{scene}: edited after a kill in {step}, then {}",
        way.verb()
    );
    case(FAMILY, what, scene, way, async move |_, target, _| {
        let point = Point::new("step-started", step);
        let run = target.signal_at(&["run"], &point, Signal::KILL).await;
        target.add_to_spec("\n[[verify]]\nkind = \"query\"\nsql = \"select 1\"\nexpect = 2\n");
        let struck = run.was_killed();
        Struck { run, struck }
    })
}
