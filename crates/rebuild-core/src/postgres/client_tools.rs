//! The client programs of PostgreSQL (pg_dump, pg_restore, psql): finding and running them.

mod access;
mod run;

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

pub use run::{ToolInput, ToolOutput, ToolRun};

use super::Environment;
use super::local::major;
use crate::error::clean;
use crate::error::{Error, Result};
use crate::model::Endpoint;
use crate::plan::ToolFacts;

/// How long a program may take to tell its version.
const VERSION_WITHIN: Duration = Duration::from_secs(10);

/// A client program of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTool {
    /// Its name, for example `pg_dump`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its major version.
    pub major: u32,
    /// What `--version` printed.
    pub version: String,
}

impl ClientTool {
    /// Finds the program `name` of major version `at_least` or newer: a client that is older
    /// than the server does not know all of its catalogs
    /// (<https://www.postgresql.org/docs/current/app-pgdump.html>).
    ///
    /// It is looked for in `folder`, and nowhere else if one is given; otherwise in the `PATH` of
    /// `env`, then where packages put it, the newest version first. Debian's wrapper in
    /// `/usr/bin`, which picks a version anew each time it runs, is passed over.
    ///
    /// *Repeats:* looks again. *Destroys:* nothing.
    ///
    /// # Errors
    /// A refusal if there is none that is new enough; it says what was found.
    pub async fn find(
        name: &str,
        folder: Option<&Path>,
        env: &Environment,
        at_least: u32,
    ) -> Result<Self> {
        let folders = match folder {
            Some(folder) => vec![std::path::absolute(folder)?],
            None => folders(env),
        };
        let mut found = Vec::new();
        for path in folders.iter().map(|folder| folder.join(name)) {
            if !is_program(&path) {
                continue;
            }
            match Self::at(name, &path).await {
                Ok(tool) if tool.major >= at_least => return Ok(tool),
                Ok(tool) => found.push(format!("{} is version {}", path.display(), tool.major)),
                Err(why) => found.push(format!("{} {why}", path.display())),
            }
        }
        let newer = match at_least {
            0 => String::new(),
            major => format!(" of version {major} or newer"),
        };
        let found = match (&found[..], folder) {
            ([], Some(folder)) => format!("{} has none", folder.display()),
            ([], None) => "none was found".to_owned(),
            (found, _) => found.join(", "),
        };
        let install = match at_least {
            0 => "postgresql-client".to_owned(),
            major => format!("postgresql-client-{major} (Debian, Ubuntu) or postgresql{major}"),
        };
        Err(
            Error::refused(format!("there is no {name}{newer}: {found}")).hint(format!(
                "install the package {install}, or name the folder that has {name}"
            )),
        )
    }

    /// The program in the file `path`, or why it is of no use.
    async fn at(name: &str, path: &Path) -> Result<Self, String> {
        let mut command = Command::new(path);
        command.arg("--version").env_clear().envs(access::kept());
        command
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(VERSION_WITHIN, command.output())
            .await
            .map_err(|_| "does not answer".to_owned())?
            .map_err(|e| format!("does not run: {e}"))?;
        let version = clean(String::from_utf8_lossy(&output.stdout).trim());
        match major(&version) {
            Some(major) if output.status.success() => Ok(Self {
                name: name.to_owned(),
                path: path.to_owned(),
                major,
                version,
            }),
            _ => Err("does not tell its version".to_owned()),
        }
    }

    /// The facts of the plan.
    pub fn facts(&self) -> ToolFacts {
        ToolFacts {
            name: self.name.clone(),
            path: self.path.display().to_string(),
            major: self.major,
            version: self.version.clone(),
        }
    }

    /// The argument that names the database of `endpoint`. pg_restore connects only if it is
    /// given. A bare name would not do: one with a `=` in it is read as a connection string.
    pub fn database_argument(endpoint: &Endpoint) -> OsString {
        let quoted = endpoint.database.replace('\\', "\\\\").replace('\'', "\\'");
        OsString::from(format!("--dbname=dbname='{quoted}'"))
    }
}

/// Where programs are looked for, in this order.
fn folders(env: &Environment) -> Vec<PathBuf> {
    let path = std::env::split_paths(env.get("PATH").unwrap_or_default());
    path.filter(|folder| folder.is_absolute())
        .chain(of_packages(Path::new("/usr/lib/postgresql"), ""))
        .chain(of_packages(Path::new("/usr"), "pgsql-"))
        .collect()
}

/// `<parent>/<prefix><major>/bin`, the newest first.
fn of_packages(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let major = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, bin)| bin).collect()
}

fn is_program(path: &Path) -> bool {
    let wrapper = path
        .canonicalize()
        .is_ok_and(|real| real.ends_with("pg_wrapper"));
    !wrapper
        && path
            .metadata()
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests;
