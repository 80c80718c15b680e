//! How much memory it takes.

use rebuild_core::error::Result;

use crate::Bench;
use crate::report::{Goal, Line, Measure};
use crate::server::Server;

/// The most that normal rows may take.
const NORMAL: u64 = 200 << 20;
/// The most that rows of 50 MB may take: a few of them for each of two workers.
const LARGE_ROWS: u64 = 12 * (50 << 20);

/// One table of 2 GB that does not compress, and rows of 50 MB.
///
/// # Errors
/// Something failed.
pub(crate) fn run_contest(bench: &Bench, server: &Server) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let noise = "create extension if not exists pgcrypto;
        create table big (id bigint, body bytea);
        alter table big alter body set storage external;
        insert into big select g, gen_random_bytes(1000) from generate_series(1, 1900000) g";
    lines.extend(measure(bench, server, "one table of 2 GB", noise, NORMAL)?);
    let rows = "create table wide (id bigint, body bytea);
        alter table wide alter body set storage external;
        insert into wide select g, decode(repeat(md5(g::text), 3276800), 'hex')
          from generate_series(1, 12) g";
    lines.extend(measure(bench, server, "rows of 50 MB", rows, LARGE_ROWS)?);
    Ok(lines)
}

fn measure(bench: &Bench, server: &Server, what: &str, sql: &str, most: u64) -> Result<Vec<Line>> {
    server.fresh("heavy")?;
    server.run("heavy", &[sql])?;
    let ours = bench.ours(server, "heavy", "memory", "")?;
    let backup = ours.run(&["backup"])?;
    server.drop("heavy_restored")?;
    let restore = ours.run(&["restore", "--into", "heavy_restored"])?;
    server.drop("heavy_restored")?;
    server.drop("heavy")?;
    ours.empty_store()?;
    let line = |verb: &str, peak| Line {
        work: format!("peak memory, {what}, {verb}"),
        peer: String::new(),
        peer_value: Measure::Nothing,
        ours: Measure::Bytes(peak),
        goal: Goal::AtMost(most),
    };
    Ok(vec![
        line("backup and check", backup.peak),
        line("restore and comparison", restore.peak),
    ])
}
