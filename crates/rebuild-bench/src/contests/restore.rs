//! Restoring.

use std::time::{Duration, Instant};

use rebuild_core::error::Result;

use crate::Bench;
use crate::contest::{Contender, by_turns, median};
use crate::program::{run, run_together};
use crate::report::{Goal, Line, Measure};
use crate::server::Server;
use crate::tpch::{FOREIGN_KEYS, INDEXES, NAMES, TABLES};

/// TPC-H with indexes and foreign keys, against `pg_restore` and against what a good
/// administrator would write by hand.
///
/// # Errors
/// Something failed.
pub(crate) fn run_contest(bench: &Bench, server: &Server) -> Result<Vec<Line>> {
    let ours = bench.ours(server, "tpch", "restore", "")?;
    ours.run(&["backup"])?;
    let dump = bench.folder.join("plain-dump");
    let mut command = server.command("pg_dump", "tpch");
    run(command.args(["-Fd", "-j2", "-Z0", "-f"]).arg(&dump))?;
    let hand = bench.folder.join("by-hand");
    std::fs::create_dir_all(&hand)?;
    for table in NAMES {
        let file = hand.join(table);
        let copy = format!(
            "\\copy {table} to '{}' with (format binary)",
            file.display()
        );
        server.run("tpch", &[&copy])?;
    }
    let restored = server.url("restored");
    let as_it_was = || ours.run(&["verify", "--with", &restored]).map(drop);
    let mut ours_restoring = Vec::new();
    let times = by_turns(
        bench.runs,
        vec![
            Contender::new("pg_restore -j2, uncompressed", || {
                server.fresh("restored")?;
                server.settle()?;
                let mut command = server.command("pg_restore", "restored");
                command.args(["-j2", "-d", "restored"]).arg(&dump);
                let restored = run(&mut command)?.time;
                Ok(restored + server.run("restored", &["analyze"])?.time)
            })
            .checked(as_it_was),
            Contender::new("by hand", || {
                server.fresh("restored")?;
                server.settle()?;
                by_hand(server, &hand)
            })
            .checked(as_it_was),
            Contender::new("rebuild restore, every row compared", || {
                server.drop("restored")?;
                server.settle()?;
                let steps = ours.steps(&["restore", "--into", "restored"])?;
                ours_restoring.push(steps.total.saturating_sub(steps.of("verify")));
                Ok(steps.total)
            }),
        ],
    )?;
    server.drop("restored")?;
    std::fs::remove_dir_all(&dump)?;
    std::fs::remove_dir_all(&hand)?;
    ours.empty_store()?;
    let restoring = median(ours_restoring);
    let [pg_restore, by_hand, proven] = times[..] else {
        unreachable!("three contenders")
    };
    let line = |work: &str, peer: &str, peer_time, time, goal| Line {
        work: work.to_owned(),
        peer: peer.to_owned(),
        peer_value: Measure::Time(peer_time),
        ours: Measure::Time(time),
        goal,
    };
    let work = "restore with indexes, foreign keys and ANALYZE, TPC-H";
    Ok(vec![
        line(
            work,
            "`pg_restore -j2` of an uncompressed directory, ANALYZE",
            pg_restore,
            restoring,
            Goal::TimesAsFast(1.4),
        ),
        line(
            work,
            "by hand: COPY FREEZE, then indexes, then foreign keys, each two at a time, ANALYZE",
            by_hand,
            restoring,
            Goal::TimesAsFast(1.0 / 0.9),
        ),
        line(
            "the same, and every row compared with the backup",
            "`pg_restore -j2`, ANALYZE, nothing compared",
            pg_restore,
            proven,
            Goal::None,
        ),
    ])
}

/// Binary files by COPY FREEZE, then indexes, then foreign keys, all by two sessions.
fn by_hand(server: &Server, files: &std::path::Path) -> Result<Duration> {
    let begun = Instant::now();
    server.run("restored", &[TABLES])?;
    let load = |tables: &[&str]| {
        let mut command = server.psql("restored", &[]);
        for table in tables {
            let copy = format!(
                "\\copy {table} from '{}' with (format binary, freeze)",
                files.join(table).display()
            );
            command.args(["-c", "begin", "-c", &format!("truncate {table}")]);
            command.args(["-c", &copy, "-c", "commit"]);
        }
        command
    };
    run_together(vec![load(&NAMES[..1]), load(&NAMES[1..])])?;
    let statements =
        |sql: &'static str| sql.split_inclusive(";\n").filter(|s| !s.trim().is_empty());
    let tune = "set maintenance_work_mem = '1GB'";
    let by_two = |sql: &'static str, picks: fn(&str) -> bool| {
        let session = |first: bool| {
            let mut all = vec![tune];
            all.extend(statements(sql).filter(|s| picks(s) == first));
            server.psql("restored", &all)
        };
        run_together(vec![session(true), session(false)])
    };
    by_two(INDEXES, |s| s.contains("lineitem"))?;
    // Foreign keys lock both of their tables.
    by_two(FOREIGN_KEYS, |s| {
        s.contains("lineitem") || s.contains("partsupp")
    })?;
    server.run("restored", &["analyze"])?;
    Ok(begun.elapsed())
}
