//! A file of the backup is damaged, before or after it was checked.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Case, Extent, sweep};
use crate::arena::Arena;
use crate::trial::Struck;
use crate::world::{Point, Scene};

pub(super) const FAMILY: &str = "a file of the backup is flipped, cut, swapped or missing";

#[derive(Clone, Copy, Debug)]
enum Damage {
    Flipped,
    Cut,
    Swapped,
    Missing,
}

pub(super) async fn cases(arena: &Arena, extent: Extent) -> Vec<Case> {
    let mut all = Vec::new();
    for scene in arena.scenes() {
        let files = backed_up(arena, scene).await;
        for file in files {
            for damage in [
                Damage::Flipped,
                Damage::Cut,
                Damage::Swapped,
                Damage::Missing,
            ] {
                for step in ["backup", "check-backup"] {
                    all.push((scene, (file.clone(), damage, step)));
                }
            }
        }
    }
    sweep(
        FAMILY,
        extent.of(all),
        |(file, damage, step)| format!("{damage:?} after {step}: {}", file.display()),
        async |_, target, (file, damage, step), _| {
            let point = Point::new("step-finished", step);
            let store = target.store();
            let mut struck = false;
            let strike = async || struck = damaged(&backup(&store), file, *damage);
            let run = target.paused_at(&["run"], &point, strike).await;
            Struck { run, struck }
        },
    )
}

/// The files of the backup that a run takes.
async fn backed_up(arena: &Arena, scene: Scene) -> Vec<PathBuf> {
    let target = arena.target(scene).await;
    target.rebuild(&["run"]).await.expect(0);
    target.drop_databases().await;
    let backup = backup(&target.store());
    let mut found = Vec::new();
    files(&backup, &mut found);
    let found = found.into_iter().map(|path| {
        let inside = path.strip_prefix(&backup).expect("a file of the backup");
        inside.to_owned()
    });
    let mut found: Vec<PathBuf> = found.collect();
    found.sort();
    assert!(found.len() > 5, "{found:?}");
    found
}

fn backup(store: &Path) -> PathBuf {
    let mut backups = fs::read_dir(store.join("backups")).expect("backups");
    backups.next().expect("a backup").expect("an entry").path()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Damages a file; true if it is another one then.
fn damaged(backup: &Path, file: &Path, damage: Damage) -> bool {
    let path = backup.join(file);
    let was = fs::read(&path).expect("the file");
    let mut now = was.clone();
    match damage {
        Damage::Flipped => {
            let middle = now.len() / 2;
            now[middle] ^= 1;
        }
        Damage::Cut => now.truncate(was.len() / 2),
        Damage::Swapped => {
            let mut all = Vec::new();
            files(backup, &mut all);
            all.sort();
            let mut others = all.iter().filter(|p| p.extension() == path.extension());
            let other = others.rfind(|p| **p != path);
            let other = other.unwrap_or_else(|| all.iter().find(|p| **p != path).expect("another"));
            now = fs::read(other).expect("another file");
            fs::write(other, &was).expect("swapped");
        }
        Damage::Missing => {
            fs::remove_file(&path).expect("it goes");
            return true;
        }
    }
    fs::write(&path, &now).expect("damaged");
    now != was
}
