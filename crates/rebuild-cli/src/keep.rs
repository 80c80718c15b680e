//! What this process keeps to itself, and what it takes from others.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rebuild_core::postgres::Environment;
use rebuild_core::{Error, Result};
use rustix::process::{Resource, Rlimit, geteuid, setrlimit};

use crate::output::Output;

/// The spec that is taken where none is named.
pub(crate) const USUAL_SPEC: &str = "rebuild.toml";

/// Passwords are in this process's memory. Nothing of it goes into a core file, and nobody but
/// root may look into it. Programs that it starts write no core files either: some of them are
/// given a password.
///
/// # Errors
/// The system does not do it.
pub(crate) fn memory() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}

/// Writes a file that nobody but its owner may read. One that is there already keeps its mode.
///
/// # Errors
/// It could not be written.
pub(crate) fn file(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(text)
}

/// Whether the connection string `text`, which stands on the command line, has a password in it.
fn has_password(text: &str) -> bool {
    // Nothing but what it says itself.
    let elsewhere = ["HOME", "PGPASSFILE"].map(|name| (name, "/nonexistent"));
    let endpoint = Environment::of(elsewhere).endpoint(text, true);
    endpoint.is_ok_and(|endpoint| endpoint.password.is_some())
}

/// Tells who gives a password on the command line that it is seen there.
pub(crate) fn warn_of_password(text: &str, output: &Output) {
    if has_password(text) {
        output.events().warn(
            "every user of this machine can see the password on the command line: leave it out of \
             the URL, and set PGPASSWORD or list it in ~/.pgpass",
        );
    }
}

/// A spec names programs that are run. One that nobody named, and that lies where this process
/// happens to be, must be of this user or of root, and nobody else's to change.
///
/// # Errors
/// A refusal if it is somebody else's.
pub(crate) fn trusted_spec(path: &Path) -> Result<()> {
    if path != Path::new(USUAL_SPEC) {
        return Ok(());
    }
    match path.metadata() {
        Ok(found) => judge(path, found.uid(), found.mode(), geteuid().as_raw()),
        // Whoever reads it says so.
        Err(_) => Ok(()),
    }
}

fn judge(path: &Path, owner: u32, mode: u32, me: u32) -> Result<()> {
    let shown = path.display();
    let why = if owner != me && owner != 0 {
        format!("{shown} in this folder belongs to user {owner}, not to user {me}")
    } else if mode & 0o002 != 0 {
        format!("everybody may write to {shown} in this folder")
    } else {
        return Ok(());
    };
    Err(Error::refused(format!("{why}, and a spec runs programs"))
        .hint(format!("read it; then name it: -f ./{shown}")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustix::process::{DumpableBehavior, dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn no_core_is_written_and_nobody_else_looks_into_the_memory() {
        memory().expect("kept");
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        let dumpable = dumpable_behavior().expect("an answer");
        assert_eq!(dumpable, DumpableBehavior::NotDumpable);
    }

    #[test]
    fn a_file_is_for_its_owner_alone_whatever_the_umask_is() {
        let folder = tempfile::tempdir().expect("a folder");
        for mask in [0o000, 0o022] {
            let path = folder.path().join(format!("plan-{mask:o}.json"));
            // Each test has a process of its own; the mask is put back for those that do not.
            let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
            let written = file(&path, b"{}");
            rustix::process::umask(before);
            written.expect("written");
            let mode = path.metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_password_on_the_command_line_is_noticed() {
        for (text, there) in [
            ("postgres://u:secret@h/db", true),
            ("postgres://u@h/db?password=secret", true),
            ("host=h user=u password=secret", true),
            ("postgres://u@h/db", false),
            ("postgres://u:@h/db", false),
            ("", false),
        ] {
            assert_eq!(has_password(text), there, "{text}");
        }
    }

    #[test]
    fn a_spec_of_somebody_else_is_not_taken_from_the_folder_one_is_in() {
        let usual = Path::new(USUAL_SPEC);
        for (owner, mode, me, trusted) in [
            (1000, 0o644, 1000, true),
            (1000, 0o664, 1000, true),
            (0, 0o644, 1000, true),
            (1001, 0o644, 1000, false),
            (1001, 0o644, 0, false),
            (1000, 0o666, 1000, false),
        ] {
            let judged = judge(usual, owner, mode, me);
            assert_eq!(judged.is_ok(), trusted, "{owner} {mode:o} {me}: {judged:?}");
        }
        // One that is named is taken as it is.
        trusted_spec(Path::new("./rebuild.toml")).expect("named");
    }
}
