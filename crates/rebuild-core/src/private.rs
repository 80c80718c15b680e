//! Temporary folders that nobody else may enter: passwords, plans and sockets lie in them.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Once;

use rustix::process::{Pid, geteuid, test_kill_process};
use tempfile::{Builder, TempDir};

/// What the names of all of them begin with.
const OURS: &str = "rebuild-";

/// A new folder, of mode 0700 whatever the umask is, which goes with the value. What killed
/// processes could not remove goes with the first one.
///
/// # Errors
/// The folder for temporary files cannot be written.
pub(crate) fn folder() -> io::Result<TempDir> {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| sweep(&std::env::temp_dir(), namespace()));
    Builder::new()
        .prefix(&name(namespace(), std::process::id()))
        .permissions(PermissionsExt::from_mode(0o700))
        .tempdir()
}

/// The beginning of a name: whose processes are counted together, and which of them made it.
fn name(namespace: u64, pid: u32) -> String {
    format!("{OURS}{namespace}-{pid}-")
}

/// The namespace of this process's number: another container may have the same folder, and other
/// processes (<https://man7.org/linux/man-pages/man7/pid_namespaces.7.html>).
fn namespace() -> u64 {
    std::fs::metadata("/proc/self/ns/pid").map_or(0, |found| found.ino())
}

/// Removes this user's folders in `parent` whose processes have ended. What cannot be removed
/// stays.
fn sweep(parent: &Path, namespace: u64) {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| maker(name, namespace)) else {
            continue;
        };
        let path = entry.path();
        let private = path.symlink_metadata().is_ok_and(|found| {
            let mode = found.mode() & 0o777;
            found.is_dir() && found.uid() == geteuid().as_raw() && mode == 0o700
        });
        if private && has_ended(pid) {
            match std::fs::remove_dir_all(&path) {
                Ok(()) => tracing::debug!("{} of a killed run is removed", path.display()),
                Err(e) => tracing::warn!("{} of a killed run stays: {e}", path.display()),
            }
        }
    }
}

/// The process that made the folder called `name`, if one of `namespace` did.
fn maker(name: &str, namespace: u64) -> Option<Pid> {
    let rest = name.strip_prefix(OURS)?;
    let (of, rest) = rest.split_once('-')?;
    let (pid, _) = rest.split_once('-')?;
    if of.parse() != Ok(namespace) {
        return None;
    }
    Pid::from_raw(pid.parse().ok()?)
}

fn has_ended(pid: Pid) -> bool {
    test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_folder_is_for_its_owner_alone_whatever_the_umask_is() {
        // Each test has a process of its own; the mask is put back for those that do not.
        let before = rustix::process::umask(rustix::fs::Mode::empty());
        let made = folder();
        rustix::process::umask(before);
        let made = made.expect("a folder");
        let mode = made.path().metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let name = made.path().file_name().expect("a name").to_string_lossy();
        let own = maker(&name, namespace()).expect("this process");
        assert!(!has_ended(own));
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().expect("a folder");
        let mut ended = std::process::Command::new("true").spawn().expect("true");
        ended.wait().expect("its end");
        let (dead, alive) = (ended.id(), std::process::id());
        let make = |name: String, mode: u32| -> PathBuf {
            let path = parent.path().join(name);
            std::fs::create_dir(&path).expect("a folder");
            std::fs::write(path.join("pgpass"), "*:*:*:*:hunter2").expect("a file");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("chmod");
            path
        };
        let gone = make(name(7, dead) + "a", 0o700);
        let stays = [
            make(name(7, alive) + "b", 0o700),
            make(name(8, dead) + "of another container", 0o700),
            make(name(7, dead) + "not private", 0o755),
            make(format!("{OURS}pg-{dead}-x"), 0o700),
            make("other".to_owned(), 0o700),
        ];
        let link = parent.path().join(name(7, dead) + "link");
        std::os::unix::fs::symlink(&stays[4], &link).expect("a link");
        sweep(parent.path(), 7);
        assert!(!gone.exists());
        for path in stays.iter().chain([&link]) {
            assert!(path.join("pgpass").exists(), "{}", path.display());
        }
    }
}
