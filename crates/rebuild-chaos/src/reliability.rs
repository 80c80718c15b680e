//! `RELIABILITY.md`: what the trials came to, for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::results::{FamilyResult, Results};

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
that are preserved) and *load* (a program brings the rows). In a cluster of Kubernetes and in Cloud SQL the whole server is replaced,
in place, with its volume or as an instance; where the family says *aside*, the server stays, and the new database takes the
old one's name in it, through a port-forward or the socket of a proxy. The API server, the node and Google's APIs are models inside the
trials' own process, the PostgreSQL servers behind them are real. Where such a rebuild ends new, it then goes back by one
command, to exactly the old. A sweep's length comes from a rebuild that nothing strikes, and a fault that did not strike is
a failure of the trial. This page is written by the trials themselves.
";

/// The page.
pub fn page(results: &Results, not_run: &[String]) -> String {
    let mut page = HEAD.to_owned();
    let all = &results.families;
    let sum = |of: &dyn Fn(&FamilyResult) -> usize| all.iter().map(of).sum::<usize>();
    let findings: Vec<&String> = all.iter().flat_map(|f| &f.findings).collect();
    let _ = write!(
        page,
        "\n**{} faults, {} struck; {} ended new, {} ended old, {} before anything had begun; rows were lost in \
         {}; {} ended in any other way.**\n\n\
         | fault | tried | struck | ended new | ended old | not begun | wrong | minutes |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|\n",
        sum(&|f| f.tried),
        sum(&|f| f.struck),
        sum(&|f| f.ended_new),
        sum(&|f| f.ended_old),
        sum(&|f| f.not_begun),
        findings.iter().filter(|f| f.contains("ROWS LOST")).count(),
        findings.len(),
    );
    for f in all {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {:.1} |",
            f.family,
            f.tried,
            f.struck,
            f.ended_new,
            f.ended_old,
            f.not_begun,
            f.findings.len(),
            f.minutes,
        );
    }
    page += "\nTo repeat it:\n";
    let commands: BTreeSet<String> = all.iter().map(|f| f.tried_by.to_string()).collect();
    for command in commands {
        let _ = write!(page, "\n- {command}\n");
    }
    list(&mut page, "What was not run", not_run.iter().cloned());
    let findings = findings.into_iter().map(|finding| shortened(finding));
    list(&mut page, "What went wrong", findings);
    page
}

fn list(page: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    for (n, line) in lines.enumerate() {
        if n == 0 {
            let _ = write!(page, "\n## {title}\n\n");
        }
        let _ = writeln!(page, "- {line}");
    }
}

/// The first line of a finding, and not all of it.
fn shortened(finding: &str) -> String {
    let line = finding.lines().next().unwrap_or_default();
    line.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{occasion, tally};

    #[test]
    fn a_fault_that_did_not_strike_and_rows_that_were_lost_are_told() {
        let mut results = Results::default();
        results.put(FamilyResult::of(&tally("the roof falls in"), &occasion()));
        let page = page(&results, &["the floor: there is none".to_owned()]);
        for line in [
            "**3 faults, 1 struck; 0 ended new, 2 ended old, 0 before anything had begun; rows were lost in 1; 2 ended in any other way.**",
            "| the roof falls in | 3 | 1 | 0 | 2 | 0 | 2 | 1.5 |",
            "- `make chaos`, 2026-01-31, PostgreSQL 15.1, 2 processors\n",
            "- the floor: there is none",
            "- too late: NOT STRUCK",
            "- badly: ROWS LOST: 3 in service\n",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
