//! Rebuilding a database end to end.

use std::time::{Duration, Instant};

use rebuild_core::Error;
use rebuild_core::error::Result;

use crate::Bench;
use crate::contest::{Contender, by_turns, median};
use crate::program::run;
use crate::report::{Goal, Line, Measure};
use crate::server::Server;

/// TPC-H, against dump, drop, create and load by a shell script.
///
/// # Errors
/// Something failed.
pub(crate) fn run_contest(bench: &Bench, server: &Server) -> Result<Vec<Line>> {
    let settle =
        "[quiesce]\nread_only = true\nend_sessions = true\n[[verify]]\nkind = \"content\"\n";
    let ours = bench.ours(server, "rebuilt", "rebuild", settle)?;
    server.drop("rebuilt")?;
    server.run("postgres", &["create database rebuilt template tpch"])?;
    let dump = bench.folder.join("dump.sql");
    let model = server.url("tpch");
    let as_it_was = || ours.run(&["verify", "--with", &model]).map(drop);
    let (mut shut_out, mut uncompared) = (Vec::new(), Vec::new());
    let times = by_turns(
        bench.runs,
        vec![
            Contender::new("pg_dump, drop, create, psql", || {
                server.settle()?;
                shell(server, &dump)
            })
            .checked(as_it_was),
            Contender::new("rebuild run, every row compared", || {
                ours.empty_store()?;
                server.settle()?;
                let (steps, report) = ours.run_report()?;
                let ms = report["shut_out_ms"].as_u64();
                let ms = ms.ok_or_else(|| Error::internal("the report does not say how long"))?;
                shut_out.push(Duration::from_millis(ms));
                forget_retired(server)?;
                uncompared.push(steps.total.saturating_sub(steps.of("verify")));
                Ok(steps.total)
            }),
        ],
    )?;
    server.drop("rebuilt")?;
    ours.empty_store()?;
    let whole = |work: &str, ours, goal| Line {
        work: work.to_owned(),
        peer: "`pg_dump`, drop, create, `psql`, ANALYZE; nothing verified".to_owned(),
        peer_value: Measure::Time(times[0]),
        ours: Measure::Time(ours),
        goal,
    };
    Ok(vec![
        whole(
            "rebuild end to end, every row compared, TPC-H",
            times[1],
            Goal::TimesAsFast(1.8),
        ),
        whole(
            "the same, without the comparison",
            median(uncompared),
            Goal::None,
        ),
        Line {
            work: "readers shut out in it".to_owned(),
            peer: "all of it".to_owned(),
            peer_value: Measure::Time(times[0]),
            ours: Measure::Time(median(shut_out)),
            goal: Goal::Within(Duration::from_secs(1)),
        },
    ])
}

/// What the runbook says.
fn shell(server: &Server, dump: &std::path::Path) -> Result<Duration> {
    let begun = Instant::now();
    let mut dumping = server.command("pg_dump", "rebuilt");
    run(dumping.arg("-f").arg(dump))?;
    server.fresh("rebuilt")?;
    let mut loading = server.psql("rebuilt", &[]);
    run(loading.arg("-f").arg(dump))?;
    server.run("rebuilt", &["analyze"])?;
    let time = begun.elapsed();
    std::fs::remove_file(dump)?;
    Ok(time)
}

/// Drops what runs have retired, so that the next turn begins as this one did.
pub(super) fn forget_retired(server: &Server) -> Result<()> {
    let list = "select datname from pg_database where datname like 'rebuilt\\_old\\_%'";
    for name in server.value("postgres", list)?.lines() {
        server.drop(name)?;
    }
    Ok(())
}
