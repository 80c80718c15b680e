//! The server's programs: where they are, which version they have, and running one.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::account::Account;
use super::options::ClusterOptions;
use crate::error::clean;
use crate::error::{Error, ErrorKind, Result};

/// The oldest major version that this crate works with.
const OLDEST: u32 = 13;

/// The programs of one PostgreSQL installation.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) dir: PathBuf,
    pub(super) major: u32,
}

impl Programs {
    /// The ones that `options` ask for.
    pub(super) async fn find(options: &ClusterOptions) -> Result<Self> {
        if let Some(major) = options.major.filter(|&major| major < OLDEST) {
            return Err(too_old(major));
        }
        let will_do = |p: &Self| options.at_least.is_none_or(|least| p.major >= least);
        if let Some(dir) = &options.bin_dir {
            let programs = Self::in_folder(dir, options.major).await?;
            return match options.at_least {
                Some(least) if !will_do(&programs) => Err(Error::usage(format!(
                    "the server programs in {} are of version {}, and {least} or later is needed",
                    dir.display(),
                    programs.major
                ))),
                _ => Ok(programs),
            };
        }
        let mut found = Vec::new();
        for dir in installed().into_iter().rev() {
            // A broken installation beside a working one is no reason to fail. Of two with the
            // same version, the last one seen wins below.
            if let Ok(programs) = Self::in_folder(&dir, options.major).await
                && will_do(&programs)
            {
                found.push(programs);
            }
        }
        let chosen = match options.at_least {
            Some(_) => found.into_iter().rev().min_by_key(|p| p.major),
            None => found.into_iter().max_by_key(|p| p.major),
        };
        chosen.ok_or_else(|| {
            let wanted = match (options.major, options.at_least) {
                (Some(major), _) => format!(" of version {major}"),
                (None, Some(least)) => format!(" of version {least} or later"),
                (None, None) => String::new(),
            };
            Error::new(
                ErrorKind::Program,
                format!("no PostgreSQL server programs{wanted} are installed"),
            )
            .hint("install the server package of PostgreSQL, or name the folder that has initdb")
        })
    }

    async fn in_folder(dir: &Path, wanted: Option<u32>) -> Result<Self> {
        for name in ["initdb", "pg_ctl", "postgres"] {
            if !dir.join(name).is_file() {
                return Err(Error::new(
                    ErrorKind::Program,
                    format!("{} has no {name}", dir.display()),
                )
                .hint("name the folder that has initdb, pg_ctl and postgres"));
            }
        }
        let mut command = Command::new(dir.join("postgres"));
        command.arg("--version");
        let output = run(&mut command, Duration::from_secs(10)).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let major = major(&text).ok_or_else(|| {
            Error::new(
                ErrorKind::Program,
                format!(
                    "{} does not tell its version: {:?}",
                    dir.join("postgres").display(),
                    text.trim()
                ),
            )
        })?;
        if major < OLDEST {
            return Err(too_old(major));
        }
        if let Some(wanted) = wanted.filter(|&wanted| wanted != major) {
            return Err(Error::usage(format!(
                "the server programs in {} are of version {major}, not {wanted}",
                dir.display()
            )));
        }
        Ok(Self {
            dir: dir.to_owned(),
            major,
        })
    }

    /// A command for the program `name`, to be run in `dir` as `account`. The caller's PG*
    /// variables and locale stay out of it.
    pub(super) fn command(&self, name: &str, dir: &Path, account: Option<&Account>) -> Command {
        let mut command = Command::new(self.dir.join(name));
        command.current_dir(dir).env_clear().kill_on_drop(true);
        for kept in ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        // Without it initdb compares every time zone there is with the machine's.
        command.env("TZ", "UTC");
        if let Some(account) = account {
            account.run(&mut command);
        }
        command
    }
}

fn too_old(major: u32) -> Error {
    Error::usage(format!(
        "PostgreSQL {major} is too old: {OLDEST} is the oldest that works"
    ))
}

/// The major version in what `postgres --version` says: `postgres (PostgreSQL) 18beta1 (Debian)`.
pub(in crate::postgres) fn major(text: &str) -> Option<u32> {
    let version = text.split(") ").nth(1)?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Folders with server programs, the more usual ones first: those of packages, then the search
/// path's.
fn installed() -> Vec<PathBuf> {
    let below = |parent: &str, prefix: &str| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        entries
            .filter(|e| e.file_name().to_string_lossy().starts_with(prefix))
            .map(|e| e.path().join("bin"))
            .collect()
    };
    let mut dirs = below("/usr/lib/postgresql", "");
    dirs.extend(below("/usr", "pgsql-"));
    dirs.extend(below("/usr/libexec", "postgresql"));
    dirs.extend(below("/usr/local", "pgsql"));
    dirs.extend(below("/opt/homebrew/opt", "postgresql@"));
    dirs.extend(below("/usr/local/opt", "postgresql@"));
    if let Some(path) = std::env::var_os("PATH") {
        // The search path may have links to a few of the programs; the others are beside them.
        let real =
            |dir: PathBuf| Some(dir.join("initdb").canonicalize().ok()?.parent()?.to_owned());
        dirs.extend(std::env::split_paths(&path).filter_map(real));
    }
    dirs.retain(|dir| dir.join("initdb").is_file());
    dirs
}

/// Runs `command` to its end, which must come before `limit` and be a success.
///
/// # Errors
/// It cannot be started, fails (the end of its output is in the error), or takes too long.
pub(super) async fn run(command: &mut Command, limit: Duration) -> Result<Output> {
    run_with(command, "", limit).await
}

/// As [`run`], with `input` for it to read.
pub(super) async fn run_with(
    command: &mut Command,
    input: &str,
    limit: Duration,
) -> Result<Output> {
    let name = clean(&command.as_std().get_program().to_string_lossy());
    let output = tokio::time::timeout(limit, exchange(command, input))
        .await
        .map_err(|_| {
            let limit = limit.as_secs_f64();
            Error::new(
                ErrorKind::Deadline,
                format!("{name} took longer than {limit} s"),
            )
        })?
        .map_err(|e| {
            let error = Error::new(ErrorKind::Program, format!("could not run {name}"));
            if e.kind() == std::io::ErrorKind::PermissionDenied {
                return error.caused_by(e).hint(
                    "as root, the server runs as an unprivileged user, who must be able to reach its programs and the folder for its files",
                );
            }
            error.caused_by(e)
        })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    Err(Error::new(
        ErrorKind::Program,
        format!("{name} ended with {}: {}", output.status, tail(&said, 20)),
    ))
}

async fn exchange(command: &mut Command, input: &str) -> std::io::Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading says why by its status.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    child.wait_with_output().await
}

/// The last `count` lines of `text`, without control characters.
pub(super) fn tail(text: &[u8], count: usize) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(count)..];
    clean(&last.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_packages_print() {
        for (text, expected) in [
            ("postgres (PostgreSQL) 13.23\n", Some(13)),
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
                Some(15),
            ),
            ("postgres (PostgreSQL) 18beta1\n", Some(18)),
            ("postgres (EnterpriseDB) 17.2.0\n", Some(17)),
            ("something else", None),
        ] {
            assert_eq!(major(text), expected, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_program_that_fails_or_hangs_is_reported() {
        let mut fails = Command::new("/bin/sh");
        fails.args(["-c", "echo out; printf 'bad \\033[31m' >&2; exit 3"]);
        let error = run(&mut fails, Duration::from_secs(10))
            .await
            .expect_err("3");
        assert!(
            error.to_string().ends_with("out\nbad \\u{1b}[31m"),
            "{error}"
        );
        let mut hangs = Command::new("/bin/sh");
        hangs.args(["-c", "read -r _ < /dev/zero"]);
        let error = run(&mut hangs, Duration::from_millis(100))
            .await
            .expect_err("late");
        assert_eq!(error.kind(), ErrorKind::Deadline);
    }

    #[tokio::test]
    async fn programs_that_are_too_old_are_refused() {
        let options = ClusterOptions {
            at_least: Some(99),
            ..ClusterOptions::default()
        };
        let error = Programs::find(&options).await.expect_err("none so new");
        assert_eq!(error.kind(), ErrorKind::Program);
        assert!(error.to_string().contains("version 99 or later"), "{error}");
        let installed = Programs::find(&ClusterOptions::default()).await;
        let options = ClusterOptions {
            bin_dir: Some(installed.expect("installed").dir),
            ..options
        };
        let error = Programs::find(&options).await.expect_err("too old");
        assert!(
            error.to_string().ends_with("99 or later is needed"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_folder_without_programs_is_named() {
        let dir = tempfile::tempdir().expect("dir");
        let options = ClusterOptions {
            bin_dir: Some(dir.path().to_owned()),
            ..ClusterOptions::default()
        };
        let error = Programs::find(&options).await.expect_err("empty");
        assert!(error.to_string().ends_with("has no initdb"), "{error}");
    }
}
