//! Comparing contents.

use rebuild_core::error::Result;

use crate::Bench;
use crate::contest::{Contender, by_turns};
use crate::pgcopydb::pgcopydb;
use crate::program::{run, run_together};
use crate::report::{Goal, Line, Measure};
use crate::server::Server;
use crate::tpch::NAMES;

/// Two equal databases of TPC-H, against `pgcopydb compare data` where it can, and its method by
/// hand.
///
/// # Errors
/// Something failed.
pub(crate) fn run_contest(bench: &Bench, server: &Server) -> Result<Vec<Line>> {
    let content = "[[verify]]\nkind = \"content\"\n";
    let ours = bench.ours(server, "tpch", "verify", content)?;
    ours.run(&["backup"])?;
    server.drop("twin")?;
    server.run("postgres", &["create database twin template tpch"])?;
    server.settle()?;
    let twin = server.url("twin");
    let folder = bench.folder.join("compare");
    let pgcopydb = pgcopydb().ok().filter(|p| p.compares);
    let mut contenders = vec![
        Contender::new("rebuild verify --with", || {
            Ok(ours.run(&["verify", "--with", &twin])?.time)
        }),
        Contender::new("rebuild verify --backup", || {
            Ok(ours.run(&["verify", "--backup", &newest(&ours)?])?.time)
        }),
        Contender::new("count(*) and sum(hashtext(row)), by hand", || {
            hashtext(server)
        }),
    ];
    if let Some(program) = &pgcopydb {
        contenders.push(Contender::new("pgcopydb compare data", || {
            // It goes on with what it finds there.
            if folder.exists() {
                std::fs::remove_dir_all(&folder)?;
            }
            let mut command = std::process::Command::new(&program.program);
            command
                .args(["compare", "data", "--source"])
                .args([&server.url("tpch"), "--target", &twin, "--dir"])
                .arg(&folder)
                .stdout(std::process::Stdio::null());
            Ok(run(&mut command)?.time)
        }));
    }
    let times = by_turns(bench.runs, contenders)?;
    server.drop("twin")?;
    ours.empty_store()?;
    let peer = match &pgcopydb {
        Some(found) => format!("`{} compare data`", found.version),
        None => "count(*) and sum(hashtext(row)) in both at once, as `pgcopydb compare data` does"
            .to_owned(),
    };
    let peer_time = Measure::Time(times.get(3).copied().unwrap_or(times[2]));
    Ok(vec![
        Line {
            work: "content of two databases compared, TPC-H".to_owned(),
            peer: peer.clone(),
            peer_value: peer_time,
            ours: Measure::Time(times[0]),
            goal: Goal::TimesAsFast(1.5),
        },
        Line {
            work: "content compared with a backup, TPC-H".to_owned(),
            peer,
            peer_value: peer_time,
            ours: Measure::Time(times[1]),
            goal: Goal::TimesAsFast(2.5),
        },
    ])
}

fn newest(ours: &crate::ours::Ours) -> Result<String> {
    let mut names: Vec<String> = std::fs::read_dir(ours.store().join("backups"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
        .pop()
        .ok_or_else(|| rebuild_core::Error::internal("the store holds no backup"))
}

fn hashtext(server: &Server) -> Result<std::time::Duration> {
    let sums: Vec<String> = NAMES
        .iter()
        .map(|t| format!("select count(*), sum(hashtext({t}::text)::bigint) from {t}"))
        .collect();
    let sums: Vec<&str> = sums.iter().map(String::as_str).collect();
    run_together(vec![server.psql("tpch", &sums), server.psql("twin", &sums)])
}
