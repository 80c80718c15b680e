//! How a local server is made: the options, and what initdb and `postgresql.conf` get from them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};

/// How a [`LocalCluster`](super::LocalCluster) is made. The default is a throwaway server of the
/// newest version installed, with locale `C` and encoding UTF8, on a Unix socket alone.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The folder with `initdb`, `pg_ctl` and `postgres`; otherwise one that is installed.
    pub bin_dir: Option<PathBuf>,
    /// The major version wanted (13 or later). Among installed ones it selects; with `bin_dir` it
    /// must agree. Without it: the newest.
    pub major: Option<u32>,
    /// The oldest major version that will do. Among installed ones it selects the one that is
    /// nearest to it; the ones in `bin_dir` must be as new.
    pub at_least: Option<u32>,
    /// Lines for `postgresql.conf`; they win over everything else here.
    pub settings: Vec<String>,
    /// Libraries to load at start (`shared_preload_libraries`).
    pub preload: Vec<String>,
    /// Listen on 127.0.0.1 too, at this port; 0 picks a free one. The superuser then has a
    /// password, made up at every start of a new server.
    pub tcp_port: Option<u16>,
    /// The locale of the template databases.
    pub locale: ClusterLocale,
    /// The encoding of the template databases, as `initdb --encoding` takes it.
    pub encoding: String,
    /// Checksums on data pages; `None` leaves it to the server's version (on since 18).
    pub data_checksums: Option<bool>,
    /// Survive a crash of the machine. A throwaway server does not wait for its disk
    /// (`fsync = off`); killed processes harm neither.
    pub durable: bool,
    /// The folder in which the server's own is made; otherwise the one for temporary files. Where
    /// this process is root and is killed, an empty folder stays behind in a parent that only
    /// root may write to.
    pub parent_dir: Option<PathBuf>,
    /// The name of the superuser.
    pub superuser: String,
    /// How long initdb, one start or one stop may take.
    pub timeout: Duration,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            bin_dir: None,
            major: None,
            at_least: None,
            settings: Vec::new(),
            preload: Vec::new(),
            tcp_port: None,
            locale: ClusterLocale::default(),
            encoding: "UTF8".to_owned(),
            data_checksums: None,
            durable: false,
            parent_dir: None,
            superuser: "postgres".to_owned(),
            timeout: Duration::from_secs(60),
        }
    }
}

/// Who compares and classifies text in the template databases
/// (<https://www.postgresql.org/docs/current/locale.html#LOCALE-PROVIDERS>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClusterLocale {
    /// The locale `C`: by bytes, the same on every machine.
    #[default]
    C,
    /// A locale of the C library, such as `en_US.UTF-8`.
    Libc(String),
    /// ICU, from version 15 on, where the server was built with it.
    Icu {
        /// A language tag, such as `de-AT`.
        locale: String,
        /// Extra collation rules, from version 16 on.
        rules: Option<String>,
    },
    /// The server's own provider, from version 17 on: `C`, `C.UTF-8` or `PG_UNICODE_FAST` (18).
    Builtin(String),
}

/// The arguments of initdb for a server of version `major`.
///
/// # Errors
/// The version lacks what the options ask for.
pub(super) fn initdb_args(options: &ClusterOptions, major: u32) -> Result<Vec<String>> {
    let needs = |least: u32, what: &str| {
        if major >= least {
            return Ok(());
        }
        Err(Error::usage(format!(
            "{what} needs PostgreSQL {least} or later, and the server programs are of {major}"
        )))
    };
    let mut args = vec![
        format!("--username={}", options.superuser),
        format!("--encoding={}", options.encoding),
        "--auth-local=trust".to_owned(),
        "--auth-host=scram-sha-256".to_owned(),
        "--lc-messages=C".to_owned(),
    ];
    match &options.locale {
        ClusterLocale::C => args.push("--locale=C".to_owned()),
        ClusterLocale::Libc(name) => args.push(format!("--locale={name}")),
        ClusterLocale::Icu { locale, rules } => {
            needs(15, "an ICU locale for whole databases")?;
            args.push("--locale=C".to_owned());
            args.push("--locale-provider=icu".to_owned());
            args.push(format!("--icu-locale={locale}"));
            if let Some(rules) = rules {
                needs(16, "rules for an ICU locale")?;
                args.push(format!("--icu-rules={rules}"));
            }
        }
        ClusterLocale::Builtin(name) => {
            needs(17, "the builtin locale provider")?;
            args.push("--locale=C".to_owned());
            args.push("--locale-provider=builtin".to_owned());
            args.push(format!("--builtin-locale={name}"));
        }
    }
    match options.data_checksums {
        Some(true) => args.push("--data-checksums".to_owned()),
        // Before 18 it is off unless asked for, and there is no option that says so.
        Some(false) if major >= 18 => args.push("--no-data-checksums".to_owned()),
        _ => {}
    }
    if !options.durable {
        args.push("--no-sync".to_owned());
    }
    Ok(args)
}

/// What is appended to `postgresql.conf`, later lines winning over earlier ones.
pub(super) fn conf(options: &ClusterOptions, socket_dir: &Path, port: u16) -> Result<String> {
    let dir = socket_dir.to_str().ok_or_else(|| {
        Error::usage(format!(
            "the folder {} cannot be named in postgresql.conf: it is not UTF-8",
            socket_dir.display()
        ))
    })?;
    let listen = if options.tcp_port.is_some() {
        "127.0.0.1"
    } else {
        ""
    };
    let mut lines = vec![
        format!("listen_addresses = '{listen}'"),
        format!("port = {port}"),
        format!("unix_socket_directories = {}", list([dir])),
        "unix_socket_permissions = 0700".to_owned(),
        "logging_collector = off".to_owned(),
        "log_destination = 'stderr'".to_owned(),
    ];
    if !options.durable {
        // Not full_page_writes: a killed process can leave half a page without any power cut.
        // Not synchronous_commit: that would lose acknowledged commits to a mere kill.
        lines.push("fsync = off".to_owned());
        // In the data directory, with which it goes; what a killed server has in /dev/shm stays there.
        lines.push("dynamic_shared_memory_type = mmap".to_owned());
    }
    if !options.preload.is_empty() {
        let names = options.preload.iter().map(String::as_str);
        lines.push(format!("shared_preload_libraries = {}", list(names)));
    }
    lines.extend(options.settings.iter().cloned());
    Ok(lines.iter().flat_map(|line| [line, "\n"]).collect())
}

/// Names as one value of `postgresql.conf`: each in double quotes, because a comma ends a bare one.
fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = names
        .into_iter()
        .map(|name| format!("\"{}\"", name.replace('"', "\"\"")))
        .collect();
    let value = quoted.join(", ");
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_version_lacks_is_refused() {
        let icu = ClusterOptions {
            locale: ClusterLocale::Icu {
                locale: "de".to_owned(),
                rules: Some("&a < b".to_owned()),
            },
            ..ClusterOptions::default()
        };
        let builtin = ClusterOptions {
            locale: ClusterLocale::Builtin("C.UTF-8".to_owned()),
            ..ClusterOptions::default()
        };
        for (options, major, needed) in [(&icu, 14, "15"), (&icu, 15, "16"), (&builtin, 16, "17")] {
            let error = initdb_args(options, major).expect_err("too old");
            assert!(error.is_refusal());
            assert!(
                error.to_string().contains(&format!("PostgreSQL {needed}")),
                "{error}"
            );
        }
        let args = initdb_args(&icu, 16).expect("new enough");
        assert!(args.contains(&"--icu-rules=&a < b".to_owned()), "{args:?}");
    }

    #[test]
    fn checksums_are_turned_off_only_where_they_are_on() {
        let options = ClusterOptions {
            data_checksums: Some(false),
            ..ClusterOptions::default()
        };
        let has = |major| {
            initdb_args(&options, major)
                .expect("args")
                .contains(&"--no-data-checksums".to_owned())
        };
        assert!(has(18));
        assert!(!has(17));
    }

    #[test]
    fn odd_folders_are_quoted_and_settings_come_last() {
        let options = ClusterOptions {
            settings: vec!["fsync = on".to_owned()],
            preload: vec!["auto_explain".to_owned()],
            ..ClusterOptions::default()
        };
        let text = conf(&options, Path::new("/tmp/it's, \"odd\""), 5433).expect("conf");
        assert!(
            text.contains("unix_socket_directories = '\"/tmp/it''s, \"\"odd\"\"\"'\n"),
            "{text}"
        );
        assert!(
            text.contains("shared_preload_libraries = '\"auto_explain\"'\n"),
            "{text}"
        );
        assert!(text.ends_with("fsync = on\n"), "{text}");
    }
}
