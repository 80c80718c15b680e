//! Copying to a second server.

use rebuild_core::error::Result;

use crate::Bench;
use crate::contest::{Contender, by_turns, median};
use crate::pgcopydb::pgcopydb;
use crate::program::run;
use crate::report::{Goal, Line, Measure};
use crate::server::Server;

/// TPC-H, against `pgcopydb clone`.
///
/// # Errors
/// Something failed.
pub(crate) fn run_contest(bench: &Bench, server: &Server, second: &Server) -> Result<Vec<Line>> {
    let ours = bench.ours(server, "tpch", "copy", "")?;
    let work_folder = bench.folder.join("pgcopydb");
    let pgcopydb = pgcopydb()?;
    let copied = second.url("copied");
    let mut copying = Vec::new();
    let mut contenders = vec![Contender::new("rebuild copy, every row compared", || {
        second.drop("copied")?;
        second.settle()?;
        let (from, to) = (server.url("tpch"), second.url("copied"));
        let steps = ours.steps(&["copy", &from, &to])?;
        copying.push(steps.total.saturating_sub(steps.of("verify")));
        Ok(steps.total)
    })];
    let clone = Contender::new("pgcopydb clone", || {
        second.fresh("copied")?;
        second.settle()?;
        let mut command = std::process::Command::new(&pgcopydb.program);
        command
            .args([
                "clone",
                "--table-jobs",
                "2",
                "--index-jobs",
                "2",
                "--restart",
            ])
            .args(["--not-consistent", "--source", &server.url("tpch")])
            .args(["--target", &second.url("copied"), "--dir"])
            .arg(&work_folder);
        command.stdout(std::process::Stdio::null());
        Ok(run(&mut command)?.time)
    });
    contenders.push(clone.checked(|| ours.run(&["verify", "--with", &copied]).map(drop)));
    let times = by_turns(bench.runs, contenders)?;
    second.drop("copied")?;
    let peer = format!(
        "`{} clone --table-jobs 2 --index-jobs 2`, nothing compared",
        pgcopydb.version
    );
    let line = |work: &str, ours, goal| Line {
        work: work.to_owned(),
        peer: peer.clone(),
        peer_value: Measure::Time(times[1]),
        ours: Measure::Time(ours),
        goal,
    };
    Ok(vec![
        line(
            "copy to a second server, TPC-H",
            median(copying),
            Goal::TimesAsFast(1.4),
        ),
        line("the same, and every row compared", times[0], Goal::None),
    ])
}
