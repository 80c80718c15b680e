//! What splitting one table among workers gains, and rows of other shapes.

use rebuild_core::error::Result;

use crate::Bench;
use crate::contest::{Contender, by_turns};
use crate::program::run;
use crate::report::{Goal, Line, Measure};
use crate::server::Server;

/// One huge table by one worker and by two; pgbench's tables; wide jsonb and bytea rows.
///
/// # Errors
/// Something failed.
pub(crate) fn run_contest(bench: &Bench, server: &Server) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    server.fresh("shapes")?;
    server.run(
        "shapes",
        &[
            "create table huge as select g as id, g % 1000 as team, md5(g::text) as name,
             now() as made from generate_series(1, 6000000) g",
        ],
    )?;
    server.settle()?;
    let one = bench.ours(server, "shapes", "one-worker", "[backup]\njobs = 1\n")?;
    let two = bench.ours(server, "shapes", "two-workers", "[backup]\njobs = 2\n")?;
    let times = by_turns(
        bench.runs,
        vec![
            Contender::new("one huge table, one worker", || {
                one.empty_store()?;
                Ok(one.steps(&["backup"])?.of("backup"))
            }),
            Contender::new("one huge table, two workers", || {
                two.empty_store()?;
                Ok(two.steps(&["backup"])?.of("backup"))
            }),
        ],
    )?;
    lines.push(Line {
        work: "backup of one huge table by two workers".to_owned(),
        peer: "one worker".to_owned(),
        peer_value: Measure::Time(times[0]),
        ours: Measure::Time(times[1]),
        goal: Goal::None,
    });
    for (what, sql) in SHAPES {
        lines.push(shape(bench, server, what, sql)?);
    }
    server.drop("shapes")?;
    Ok(lines)
}

const SHAPES: [(&str, &str); 3] = [
    (
        "pgbench's tables, scale 50",
        "create table pgbench_accounts as select g as aid, g / 100000 + 1 as bid, 0 as abalance,
             repeat(' ', 84)::char(84) as filler from generate_series(1, 5000000) g;
         alter table pgbench_accounts add primary key (aid)",
    ),
    (
        "wide jsonb rows",
        "create table documents as select g as id, jsonb_object_agg(k, md5((g * k)::text)) as body
             from generate_series(1, 60000) g, generate_series(1, 40) k group by g;
         alter table documents add primary key (id)",
    ),
    (
        "wide bytea rows",
        "create table files as select g as id,
             decode(string_agg(md5((g * k)::text), ''), 'hex') as body
             from generate_series(1, 2000) g, generate_series(1, 10000) k group by g;
         alter table files add primary key (id)",
    ),
];

fn shape(bench: &Bench, server: &Server, what: &str, sql: &str) -> Result<Line> {
    server.fresh("shapes")?;
    server.run("shapes", &[sql, "vacuum analyze"])?;
    server.settle()?;
    let ours = bench.ours(server, "shapes", "shapes", "")?;
    let dump = bench.folder.join("shapes-dump");
    let times = by_turns(
        bench.runs,
        vec![
            Contender::new("pg_dump -Fd -j2", || {
                let mut command = server.command("pg_dump", "shapes");
                let time = run(command.args(["-Fd", "-j2", "-f"]).arg(&dump))?.time;
                std::fs::remove_dir_all(&dump)?;
                Ok(time)
            }),
            Contender::new("rebuild backup, taken and read back", || {
                ours.empty_store()?;
                Ok(ours.steps(&["backup"])?.total)
            }),
        ],
    )?;
    ours.empty_store()?;
    Ok(Line {
        work: format!("backup and its proof, {what}"),
        peer: "`pg_dump -Fd -j2`, nothing proven".to_owned(),
        peer_value: Measure::Time(times[0]),
        ours: Measure::Time(times[1]),
        goal: Goal::None,
    })
}
