//! Servers and client programs with a hole that a dump falls into.

use super::Survey;

/// The minor version of each major one that closed CVE-2024-7348
/// (<https://www.postgresql.org/support/security/CVE-2024-7348/>): whoever may make objects in a
/// database could have their code run by the role that dumps it. Both sides have to know of it.
const CLOSED_IN: [(u32, u32); 5] = [(12, 20), (13, 16), (14, 13), (15, 8), (16, 4)];

/// A line for the server and for each program that lacks the mend.
pub(super) fn warnings(survey: &Survey) -> Vec<String> {
    let server = &survey.inventory.server;
    let programs = survey.tools.iter().filter_map(|tool| {
        Some((
            tool.name.as_str(),
            tool.major,
            minor(tool.major, &tool.version)?,
        ))
    });
    let all = std::iter::once(("the server", server.major(), server.version_num % 10_000));
    all.chain(programs)
        .filter_map(|(what, major, minor)| {
            let (_, closed) = CLOSED_IN.iter().find(|(with, _)| *with == major)?;
            (minor < *closed).then(|| {
                format!(
                    "{what} is of version {major}.{minor}: before {major}.{closed}, whoever may \
                     make objects in the database can have code run as the role that backs it up"
                )
            })
        })
        .collect()
}

/// The minor version in what `--version` printed.
fn minor(major: u32, printed: &str) -> Option<u32> {
    let mut words = printed.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.find_map(|word| {
        let (first, rest) = word.split_once('.')?;
        let minor = rest.split('.').next()?;
        (first.parse() == Ok(major)).then(|| minor.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sim::Sim;
    use crate::testing::survey::survey;

    #[test]
    fn a_server_or_program_with_the_hole_is_warned_of() {
        let mut survey = survey(Sim::with_app().identity("app").expect("app"));
        assert_eq!(warnings(&survey), [""; 0]);
        survey.inventory.server.version_num = 150_007;
        survey.tools[0].version = "pg_dump (PostgreSQL) 15.2 (Debian 15.2-1)".to_owned();
        let told = warnings(&survey);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("the server is of version 15.7: before 15.8"));
        assert!(
            told[1].starts_with("pg_dump is of version 15.2"),
            "{told:?}"
        );
        survey.inventory.server.version_num = 170_000;
        survey.tools[0].version = "pg_dump (PostgreSQL) 15.8".to_owned();
        assert_eq!(warnings(&survey), [""; 0]);
    }
}
