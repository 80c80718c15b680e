//! `make bench`: `rebuild` against the tools that people use today, on the same machine, in the
//! same run, by turns.

mod contest;
mod contests;
mod ours;
mod pgcopydb;
mod program;
mod report;
mod server;
mod tpch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use rebuild_core::error::Result;

use crate::ours::Ours;
use crate::report::{Line, markdown};
use crate::server::Server;

/// Measures rebuild against pg_dump, pg_restore, pgcopydb and plain COPY.
#[derive(Parser)]
struct Args {
    /// The scale of TPC-H; 1 is about 1.7 GB.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// How many turns each contender has. The median counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these.
    #[arg(value_enum)]
    contests: Vec<Contest>,
    /// Write the table to this file too, as Markdown, if everything could be measured. What else the file
    /// says stays.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Where the servers and backups are put; about ten times the database's size.
    #[arg(long)]
    folder: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Contest {
    /// Backing up TPC-H.
    Backup,
    /// Restoring TPC-H with indexes and foreign keys.
    Restore,
    /// Copying TPC-H to a second server.
    Copy,
    /// Rebuilding TPC-H end to end.
    Rebuild,
    /// The same from Python.
    Python,
    /// Comparing two copies of TPC-H, and one with a backup.
    Verify,
    /// 2,000 small tables.
    SmallTables,
    /// Memory: a table of 2 GB, and rows of 50 MB.
    Memory,
    /// One huge table with one worker and with two; wide rows.
    Splitting,
}

impl Contest {
    fn needs_tpch(self) -> bool {
        use Contest::{Backup, Copy, Python, Rebuild, Restore, Verify};
        matches!(self, Backup | Restore | Copy | Rebuild | Python | Verify)
    }

    async fn run(self, args: &Args, bench: &Bench, server: &Server) -> Result<Vec<Line>> {
        if let Some(name) = self.to_possible_value() {
            eprintln!("{}", name.get_name());
        }
        match self {
            Self::Backup => contests::backup::run_contest(bench, server),
            Self::Restore => contests::restore::run_contest(bench, server),
            Self::Copy => {
                let second = Server::start(args.folder.clone()).await?;
                contests::copy::run_contest(bench, server, &second)
            }
            Self::Rebuild => contests::rebuild::run_contest(bench, server),
            Self::Python => contests::python::run_contest(bench, server),
            Self::Verify => contests::verify::run_contest(bench, server),
            Self::SmallTables => contests::small_tables::run_contest(bench, server),
            Self::Memory => contests::memory::run_contest(bench, server),
            Self::Splitting => contests::splitting::run_contest(bench, server),
        }
    }
}

/// What every contest gets.
struct Bench {
    runs: usize,
    folder: PathBuf,
}

impl Bench {
    /// `rebuild` with a spec for `database` in a folder `name`, and `more` at the spec's end.
    fn ours(&self, server: &Server, database: &str, name: &str, more: &str) -> Result<Ours> {
        Ours::new(server, database, self.folder.join(name), more)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match bench(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {}", e.chain());
            ExitCode::FAILURE
        }
    }
}

async fn bench(args: &Args) -> Result<()> {
    let mut folder = tempfile::Builder::new();
    let folder = folder.prefix("rebuild-bench-");
    let folder = match &args.folder {
        Some(parent) => folder.tempdir_in(parent)?,
        None => folder.tempdir()?,
    };
    let bench = Bench {
        runs: args.runs,
        folder: folder.path().to_owned(),
    };
    let wanted = if args.contests.is_empty() {
        Contest::value_variants()
    } else {
        &args.contests
    };
    let server = Server::start(args.folder.clone()).await?;
    if wanted.iter().any(|c| c.needs_tpch()) {
        eprintln!("making TPC-H at scale {}", args.scale);
        tpch::make(&server, "tpch", args.scale)?;
    }
    let mut lines: Vec<Line> = Vec::new();
    let mut failed = None;
    for contest in wanted {
        match contest.run(args, &bench, &server).await {
            Ok(found) => lines.extend(found),
            // What the others measured counts nevertheless.
            Err(e) => {
                eprintln!("error: {}", e.chain());
                failed = Some(e);
            }
        }
    }
    let table = format!("{}\n{}", about(args, &server), markdown(&lines));
    println!("{table}");
    if let Some(e) = failed {
        return Err(e);
    }
    if let Some(out) = &args.out {
        let page = std::fs::read_to_string(out).unwrap_or_default();
        std::fs::write(out, report::page(&page, &table))?;
    }
    Ok(())
}

/// Under what conditions the figures were taken.
fn about(args: &Args, server: &Server) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let turns = args.runs;
    format!(
        "PostgreSQL {}, {cores} cores, TPC-H at scale {}, medians of {turns} alternating runs. Both \
         sides used the same server, with {}.\n",
        server.major(),
        args.scale,
        server::SETTINGS.join(", "),
    )
}
