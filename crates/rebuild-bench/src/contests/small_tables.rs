//! Many small tables.

use rebuild_core::error::Result;

use crate::Bench;
use crate::contest::{Contender, by_turns, median};
use crate::program::run;
use crate::report::{Goal, Line, Measure};
use crate::server::Server;

const TABLES: usize = 2000;

/// 2,000 tables of 100 rows with keys and indexes, against `pg_dump` and `pg_restore`.
///
/// # Errors
/// Something failed.
pub(crate) fn run_contest(bench: &Bench, server: &Server) -> Result<Vec<Line>> {
    make(server)?;
    let ours = bench.ours(server, "many", "many", "")?;
    let dump = bench.folder.join("many-dump");
    let restored = server.url("many_restored");
    let mut unproven = Vec::new();
    let times = by_turns(
        bench.runs,
        vec![
            Contender::new("pg_dump -Fd -j2, pg_restore -j2", || {
                server.fresh("many_restored")?;
                server.settle()?;
                let mut dumping = server.command("pg_dump", "many");
                let dumped = run(dumping.args(["-Fd", "-j2", "-f"]).arg(&dump))?.time;
                let mut restoring = server.command("pg_restore", "many_restored");
                restoring.args(["-j2", "-d", "many_restored"]).arg(&dump);
                let restored = run(&mut restoring)?.time;
                let analyzed = server.run("many_restored", &["analyze"])?.time;
                std::fs::remove_dir_all(&dump)?;
                Ok(dumped + restored + analyzed)
            })
            .checked(|| ours.run(&["verify", "--with", &restored]).map(drop)),
            Contender::new("rebuild backup, rebuild restore", || {
                server.drop("many_restored")?;
                ours.empty_store()?;
                server.settle()?;
                let taken = ours.steps(&["backup"])?;
                let restored = ours.steps(&["restore", "--into", "many_restored"])?;
                let total = taken.total + restored.total;
                let proof = taken.of("check-backup") + restored.of("verify");
                unproven.push(total.saturating_sub(proof));
                Ok(total)
            }),
        ],
    )?;
    server.drop("many_restored")?;
    server.drop("many")?;
    ours.empty_store()?;
    let line = |work: &str, ours, goal| Line {
        work: work.to_owned(),
        peer: "`pg_dump -Fd -j2`, `pg_restore -j2`, ANALYZE; nothing proven".to_owned(),
        peer_value: Measure::Time(times[0]),
        ours: Measure::Time(ours),
        goal,
    };
    Ok(vec![
        line(
            "2,000 small tables with indexes and keys: backup, restore and ANALYZE",
            median(unproven),
            Goal::TimesAsFast(1.5),
        ),
        line(
            "the same, the backup proven, and every row compared",
            times[1],
            Goal::None,
        ),
    ])
}

fn make(server: &Server) -> Result<()> {
    server.fresh("many")?;
    // In parts, because a transaction has only so many locks.
    for part in 0..TABLES / 100 {
        let (from, to) = (part * 100 + 1, part * 100 + 100);
        let sql = format!(
            "do $$ begin for n in {from}..{to} loop
                 execute format('create table t%s (id bigint generated always as identity primary key,
                     parent bigint, name text not null, made timestamptz default now())', n);
                 execute format('insert into t%s (parent, name) select g, md5(g::text)
                     from generate_series(1, 100) g', n);
                 execute format('create index on t%s (name)', n);
                 if n > 1 then
                     execute format('alter table t%s add foreign key (parent) references t%s', n, n - 1);
                 end if;
             end loop; end $$"
        );
        server.run("many", &[&sql])?;
    }
    server.run("many", &["vacuum analyze"])?;
    Ok(())
}
