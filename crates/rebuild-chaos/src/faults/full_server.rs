//! The disk of the server is full from a step on, and has room again for the way out.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use super::{Act, Case, Extent};
use crate::arena::Arena;
use crate::strike::Striker;
use crate::trial::{Outcome, Struck, Way};
use crate::world::{Point, Scene};

pub(super) const FAMILY: &str = "the disk of the server is full from a step on";

/// What is left of the disk, less than a database needs.
const LEFT: u64 = 512 << 10;

pub(super) fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let mut all = Vec::new();
    for scene in arena.scenes() {
        for point in arena.clean(scene).beginnings() {
            all.push((scene, point.clone()));
        }
    }
    let all = extent.of(all).into_iter().enumerate();
    let cases = all.map(|(n, (scene, point))| {
        let what = format!("{scene}: as {} begins", point.step);
        let act: Act = Box::new(move |arena| {
            let striker = arena.striker.clone();
            Box::pin(filled(striker, scene, point, Way::by_turns(n)))
        });
        Case {
            family: FAMILY,
            what,
            act,
        }
    });
    cases.collect()
}

async fn filled(striker: Arc<Striker>, scene: Scene, point: Point, way: Way) -> Outcome {
    let disk = Disk::mount();
    let arena = Arena::prepare_in(striker, &[scene], Some(disk.folder.path())).await;
    arena
        .trial(scene, way, async |target| {
            let mut struck = false;
            let fill = async || struck = disk.fill();
            let run = target.paused_at(&["run"], &point, fill).await;
            disk.empty();
            // Without room for its log the server may have ended.
            arena.world.recover().await;
            Struck { run, struck }
        })
        .await
}

/// A small disk of its own.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn mount() -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=400m,mode=1777", "tmpfs"]);
        let mounted = mount.arg(folder.path()).status().expect("mount");
        assert!(mounted.success(), "the disk is there");
        Self { folder }
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.folder.path().join("ballast")
    }

    /// Fills it up; true if it is full then.
    fn fill(&self) -> bool {
        let free = free(self.folder.path());
        let ballast = vec![0; usize::try_from(free.saturating_sub(LEFT)).expect("it is small")];
        std::fs::write(self.ballast(), ballast).expect("there was room");
        free > LEFT
    }

    fn empty(&self) {
        let _ = std::fs::remove_file(self.ballast());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The server's folder is gone by now; what is left of it goes with the disk.
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
    }
}

fn free(folder: &Path) -> u64 {
    let about = rustix::fs::statvfs(folder).expect("the disk");
    about.f_bavail * about.f_frsize
}
