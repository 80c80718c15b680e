//! Releases of PostgreSQL with known holes that a dump or a backup can be used against.

use super::Survey;

/// For each major version, the minor release in which the holes known in August 2026 are closed
/// that let a dump, a restore or a server act against whoever runs these programs
/// (<https://www.postgresql.org/support/security/>).
const MENDED: [(u32, u32); 5] = [(14, 24), (15, 19), (16, 15), (17, 11), (18, 6)];

/// Warnings about a server and programs that are older than that.
pub(super) fn warnings(survey: &Survey) -> Vec<String> {
    let server = &survey.inventory.server;
    let (major, minor) = (server.major(), server.version_num % 10_000);
    let mut warnings = Vec::new();
    if let Some(why) = outdated(major, minor) {
        warnings.push(format!("the server is PostgreSQL {major}.{minor}, {why}"));
    }
    for tool in &survey.tools {
        // A version before its release (19beta1) has no minor yet.
        let why = minor_of(&tool.version, tool.major).and_then(|m| outdated(tool.major, m));
        if let Some(why) = why {
            warnings.push(format!(
                "{} ({}) is {}, {why}",
                tool.name, tool.path, tool.version
            ));
        }
    }
    warnings
}

fn outdated(major: u32, minor: u32) -> Option<String> {
    if MENDED[0].0 > major {
        return Some("a version for which no holes are closed any more".to_owned());
    }
    let (_, mended) = MENDED.iter().find(|(known, _)| *known == major)?;
    (minor < *mended)
        .then(|| format!("which has known security holes; {major}.{mended} closes them"))
}

/// The minor in what a program says of its version, for example `pg_dump (PostgreSQL) 15.18 (Debian)`.
fn minor_of(version: &str, major: u32) -> Option<u32> {
    let start = format!("{major}.");
    let rest = version
        .split_whitespace()
        .find_map(|word| word.strip_prefix(&start))?;
    let digits = rest.find(|c: char| !c.is_ascii_digit());
    rest[..digits.unwrap_or(rest.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Identity;
    use crate::testing::survey::survey;

    fn of(server: u32, tool: &str) -> Vec<String> {
        let mut survey = survey(Identity {
            server: "1".to_owned(),
            name: "app".to_owned(),
            uid: "1".to_owned(),
        });
        survey.inventory.server.version_num = server;
        survey.tools.truncate(1);
        survey.tools[0].version = tool.to_owned();
        survey.tools[0].major = 15;
        warnings(&survey)
    }

    #[test]
    fn releases_with_known_holes_are_warned_of() {
        let new = "pg_dump (PostgreSQL) 15.19 (Debian 15.19-0+deb12u1)";
        assert_eq!(of(150_019, new), Vec::<String>::new());
        assert_eq!(of(190_000, new), Vec::<String>::new());
        assert_eq!(
            of(150_019, "pg_dump (PostgreSQL) 15beta1"),
            Vec::<String>::new()
        );
        for (server, said) in [
            (
                150_018,
                "PostgreSQL 15.18, which has known security holes; 15.19",
            ),
            (
                180_005,
                "PostgreSQL 18.5, which has known security holes; 18.6",
            ),
            (130_023, "PostgreSQL 13.23, a version for which no holes"),
        ] {
            let warnings = of(server, new);
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].contains(said), "{warnings:?}");
        }
        let old = "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)";
        let warnings = of(150_019, old);
        assert!(
            warnings[0].starts_with("pg_dump (/usr/bin/pg_dump) is "),
            "{warnings:?}"
        );
        assert!(warnings[0].contains("15.19 closes them"), "{warnings:?}");
    }
}
