//! `RELIABILITY.md`: what the trials came to, for people.

use std::fmt::Write as _;

use crate::report::Tally;
use crate::trial::Ended;

/// What a page says besides its figures.
pub struct About {
    /// The day, as 2026-01-31.
    pub day: String,
    /// The server's version.
    pub server: String,
    /// How many processors there were.
    pub processors: usize,
    /// The command that repeats it.
    pub command: String,
}

const HEAD: &str = "\
# Reliability

Whole rebuilds of a real database on a real server, by the real program, each struck by one fault (some by several). After
every one of them it is looked at

- right after the fault: whether the old database, by its oid, is there with every row;
- after the way out (`rebuild resume` or `rebuild rollback`, by turns, and whatever command they name): whether the
  database in service is exactly the new one or exactly the old one: its schema by pg_dump, its rows by a hash of each
  table, its sequences, owner, settings, rights and comment (a server that recovers from a crash may let a sequence skip up
  to 32 values, and what a transaction drew that was cut off is gone);
- whether a session, an advisory lock, a prepared transaction, a replication slot, a database or half a backup is left that
  the journal does not know, and whether the next `rebuild plan` finds nothing in its way.

The kinds of rebuild are *aside* and *in place* (rows of the backup), *refresh* (masked rows of another database, and some
that are preserved) and *load* (a program brings the rows). In a cluster of Kubernetes and in Cloud SQL the whole server is replaced, in
place, with its volume or as an instance; the API server, the node and Google's APIs are models inside the trials' own process, the
PostgreSQL servers behind them are real. Where such a rebuild ends new, it then goes back by one command, to exactly the old. A sweep's length comes from a rebuild that nothing strikes, and a fault
that did not strike is a failure of the trial. This page is written by the trials themselves.
";

/// The page.
pub fn page(tallies: &[Tally], not_run: &[String], about: &About) -> String {
    let mut page = HEAD.to_owned();
    let sum = |of: &dyn Fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let tried = sum(&|t| t.tried.len());
    let (new, old) = (sum(&|t| t.ended(Ended::New)), sum(&|t| t.ended(Ended::Old)));
    let untouched = sum(&|t| t.ended(Ended::Untouched));
    let findings: Vec<String> = tallies.iter().flat_map(Tally::findings).collect();
    let lost = findings.iter().filter(|f| f.contains("ROWS LOST")).count();
    let _ = write!(
        page,
        "\n**{tried} faults, {struck} struck; {new} ended new, {old} ended old, {untouched} before anything had begun; rows were lost in \
         {lost}; {wrong} ended in any other way.** {day}, PostgreSQL {server}, {processors} processors. To repeat it:\n\n    {command}\n\n\
         | fault | tried | struck | ended new | ended old | not begun | wrong | minutes |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|\n",
        struck = sum(&Tally::struck),
        wrong = findings.len(),
        day = about.day,
        server = about.server,
        processors = about.processors,
        command = about.command,
    );
    for tally in tallies {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {:.1} |",
            tally.family,
            tally.tried.len(),
            tally.struck(),
            tally.ended(Ended::New),
            tally.ended(Ended::Old),
            tally.ended(Ended::Untouched),
            tally.findings().len(),
            tally.took.as_secs_f64() / 60.0,
        );
    }
    if !not_run.is_empty() {
        page += "\n## What was not run\n\n";
        for family in not_run {
            let _ = writeln!(page, "- {family}");
        }
    }
    if !findings.is_empty() {
        page += "\n## What went wrong\n\n";
        for finding in findings {
            let _ = writeln!(page, "- {}", shortened(&finding));
        }
    }
    page
}

/// The first line of a finding, and not all of it.
fn shortened(finding: &str) -> String {
    let line = finding.lines().next().unwrap_or_default();
    line.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::Tried;
    use crate::trial::Outcome;

    #[test]
    fn a_fault_that_did_not_strike_and_rows_that_were_lost_are_told() {
        let outcome = |struck| Outcome {
            struck,
            ended: Ended::Old,
            commands: 1,
        };
        let tried = |what: &str, result| Tried {
            what: what.to_owned(),
            result,
        };
        let tally = Tally {
            family: "the roof falls in",
            tried: vec![
                tried("once", Ok(outcome(true))),
                tried("too late", Ok(outcome(false))),
                tried("badly", Err("ROWS LOST: 3 in service\nand more".to_owned())),
            ],
            took: Duration::from_secs(90),
        };
        let about = About {
            day: "2026-01-31".to_owned(),
            server: "15.1".to_owned(),
            processors: 2,
            command: "make chaos".to_owned(),
        };
        let page = page(&[tally], &["the floor: there is none".to_owned()], &about);
        for line in [
            "**3 faults, 1 struck; 0 ended new, 2 ended old, 0 before anything had begun; rows were lost in 1; 2 ended in any other way.**",
            "| the roof falls in | 3 | 1 | 0 | 2 | 0 | 2 | 1.5 |",
            "- the floor: there is none",
            "- too late: NOT STRUCK",
            "- badly: ROWS LOST: 3 in service\n",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
