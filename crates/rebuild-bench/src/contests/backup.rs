//! Backing up.

use std::cell::Cell;
use std::time::Duration;

use rebuild_core::error::Result;

use crate::Bench;
use crate::contest::{Contender, by_turns, median};
use crate::program::{folder_bytes, run, run_together};
use crate::report::{Goal, Line, Measure};
use crate::server::Server;
use crate::tpch::NAMES;

/// TPC-H against `pg_dump` as everyone runs it, and against the bare reading of the rows.
///
/// # Errors
/// Something failed.
pub(crate) fn run_contest(bench: &Bench, server: &Server) -> Result<Vec<Line>> {
    let ours = bench.ours(server, "tpch", "backup", "")?;
    let dump = bench.folder.join("dump");
    let (ours_bytes, dump_bytes) = (Cell::new(0), Cell::new(0));
    let taking = Cell::new(Duration::ZERO);
    let mut taken = Vec::new();
    let times = by_turns(
        bench.runs,
        vec![
            Contender::new("pg_dump -Fd -j2", || {
                let mut command = server.command("pg_dump", "tpch");
                command.args(["-Fd", "-j2", "-f"]).arg(&dump);
                let time = run(&mut command)?.time;
                dump_bytes.set(folder_bytes(&dump)?);
                std::fs::remove_dir_all(&dump)?;
                Ok(time)
            }),
            Contender::new("two bare COPYs", || bare(server)),
            Contender::new("rebuild backup, taken and read back", || {
                ours.empty_store()?;
                let steps = ours.steps(&["backup"])?;
                ours_bytes.set(folder_bytes(&ours.store())?);
                // All but the proof: the start of the program is in the time, as it is in pg_dump's.
                taking.set(steps.total.saturating_sub(steps.of("check-backup")));
                taken.push(taking.get());
                Ok(steps.total)
            }),
        ],
    )?;
    let taken = median(taken);
    let line = |peer: &str, peer_time, time, goal| Line {
        work: "backup, TPC-H".to_owned(),
        peer: peer.to_owned(),
        peer_value: Measure::Time(peer_time),
        ours: Measure::Time(time),
        goal,
    };
    let [dumped, bare, proven] = times[..] else {
        unreachable!("three contenders")
    };
    Ok(vec![
        line("`pg_dump -Fd -j2`", dumped, taken, Goal::TimesAsFast(5.0)),
        Line {
            work: "backup, TPC-H, and its proof by reading it back".to_owned(),
            ..line(
                "`pg_dump -Fd -j2`, nothing proven",
                dumped,
                proven,
                Goal::None,
            )
        },
        line(
            "two bare COPYs to /dev/null (the limit)",
            bare,
            taken,
            Goal::TimesAsFast(0.8),
        ),
        Line {
            work: "size of the backup, TPC-H".to_owned(),
            peer: "`pg_dump -Fd -j2`".to_owned(),
            peer_value: Measure::Bytes(dump_bytes.get()),
            ours: Measure::Bytes(ours_bytes.get()),
            goal: Goal::TimesTheSize(1.15),
        },
    ])
}

/// The largest table in one session, all others in another.
fn bare(server: &Server) -> Result<Duration> {
    let copies: Vec<String> = NAMES
        .iter()
        .map(|table| format!("copy {table} to stdout"))
        .collect();
    let others: Vec<&str> = copies[1..].iter().map(String::as_str).collect();
    run_together(vec![
        server.psql("tpch", &[&copies[0]]),
        server.psql("tpch", &others),
    ])
}
