//! Programs that name the target themselves, in the place of taking it from their environment.
//!
//! Where the new database is made under the target's own name such a program does what is wanted in a
//! run, and in a rehearsal it would write to the target.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::spec::Program;

/// Programs to which a bare word is the name of a database.
const CLIENTS: [&str; 8] = [
    "psql",
    "pg_dump",
    "pg_restore",
    "pgbench",
    "vacuumdb",
    "reindexdb",
    "clusterdb",
    "createdb",
];

/// Refuses `program` with `env`, which `what` is about, if it names the database `target`.
///
/// # Errors
/// A refusal that quotes nothing of it, since it may hold a password.
pub(super) fn refuse(
    what: &str,
    program: &Program,
    env: &BTreeMap<String, String>,
    target: &str,
) -> Result<()> {
    let (first, rest) = program.split_first().unzip();
    let client = first.is_some_and(|first| is_client(first));
    let rest = rest.into_iter().flatten();
    let names = rest.into_iter().any(|text| names(text, client, target));
    // PG* variables of the spec give way to the run's.
    let sets = env.values().any(|value| names_by_setting(value, target));
    if !names && !sets {
        return Ok(());
    }
    Err(Error::refused(format!(
        "{what} names the database {target:?} itself, so its rehearsal would write to the target"
    ))
    .hint("let it take the database from PGDATABASE or from the URL in its environment"))
}

fn is_client(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    CLIENTS.contains(&name)
}

/// True if an argument, or a script in one, names the database.
fn names(text: &str, client: bool, target: &str) -> bool {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || "'\";|&()".contains(c))
        .filter(|word| !word.is_empty())
        .collect();
    let client = client || words.iter().any(|word| is_client(word));
    words.iter().any(|word| {
        names_by_setting(word, target)
            || (client && (*word == target || word.strip_prefix("-d") == Some(target)))
    })
}

/// True for `dbname=app`, `--database=app` and `postgresql://host/app?…`.
fn names_by_setting(word: &str, target: &str) -> bool {
    let set = word
        .rsplit_once('=')
        .is_some_and(|(_, value)| value == target);
    let url = word.split_once("://").and_then(|(_, rest)| {
        let (_, path) = rest.split_once('/')?;
        path.split(['?', '#']).next()
    });
    let set_within = word.split_whitespace().any(|part| {
        let database = part.strip_prefix("dbname=");
        database.is_some_and(|name| name.trim_matches('\'') == target)
    });
    set || set_within || url == Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_names_the_target_would_write_to_it() {
        let none = BTreeMap::new();
        let refused = |words: &[&str]| {
            let program: Program = words.iter().map(|w| (*w).to_owned()).collect();
            refuse("load \"a\"", &program, &none, "app").is_err()
        };
        for words in [
            &["psql", "-d", "app", "-f", "x.sql"][..],
            &["/usr/bin/psql", "-dapp"],
            &["psql", "app"],
            &["psql", "host=h dbname=app"],
            &["sh", "-c", "psql 'app' < x.sql"],
            &["load", "--database=app"],
            &[
                "load",
                "postgresql+psycopg://u:p@h:5432/app?sslmode=require",
            ],
            &["env", "PGDATABASE=app", "load"],
        ] {
            assert!(refused(words), "{words:?}");
        }
        for words in [
            &["app", "load"][..],
            &["manage.py", "migrate", "app"],
            &["psql", "-f", "app.sql"],
            &["psql", "-d", "apple"],
            &["load", "https://example.org/x/app"],
            &["sh", "-c", "psql -f x.sql"],
            &[],
        ] {
            assert!(!refused(words), "{words:?}");
        }
        let set = |name: &str, value: &str| {
            let env = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            refuse("migrate", &Program::new(), &env, "app").is_err()
        };
        assert!(set("OTHER_URL", "postgresql://h/app"));
        assert!(!set("NAME", "app") && !set("PGDATABASE", "app"));
    }
}
