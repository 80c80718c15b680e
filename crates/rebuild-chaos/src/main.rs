//! `make chaos`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use rebuild_chaos::faults::{Extent, FAMILIES, missing, scenes};
use rebuild_chaos::reliability::page;
use rebuild_chaos::report::{Tried, Trying};
use rebuild_chaos::results::{FamilyResult, Occasion, Results};

/// Strikes whole rebuilds with faults, and writes down what came of it.
#[derive(Parser)]
struct Args {
    /// Only the families whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Only the cases that contain this, as they are printed where something is wrong
    #[arg(long, default_value = "")]
    case: String,
    /// Strike one in so many points of each sweep
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    every: u16,
    /// Strike one in so many messages to the server, of which there are thousands
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    every_message: u16,
    /// Strike one in so many of the requests to the API of a service, each in several ways
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    every_request: u16,
    /// How many kills at a random time
    #[arg(long, default_value_t = 500)]
    random: usize,
    /// How many of them for each service
    #[arg(long, default_value_t = 50)]
    random_service: usize,
    /// Where random times and choices come from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many servers at once
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,
    /// Write the page here, and beside it, as JSON, what it says; families that are not tried stay as they are there
    #[arg(long)]
    out: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let extent = Extent {
        every: args.every.into(),
        every_message: args.every_message.into(),
        every_request: args.every_request.into(),
        random: args.random,
        random_service: args.random_service,
        seed: args.seed,
    };
    let trying = Trying {
        workers: args.workers.into(),
        extent,
        only: &args.case,
        tell: &tell,
    };
    match try_families(&args, &trying).await {
        Ok(wrong) => ExitCode::from(u8::from(wrong)),
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Whether anything went wrong.
async fn try_families(args: &Args, trying: &Trying<'_>) -> Result<bool, String> {
    let occasion = occasion(args).await;
    let data = args.out.as_ref().map(|out| out.with_extension("json"));
    let mut results = data
        .as_deref()
        .map_or(Ok(Results::default()), Results::read)?;
    let mut wrong = false;
    let mut not_run = Vec::new();
    for family in FAMILIES.iter().filter(|f| f.contains(&args.only)) {
        if let Some(why) = missing(family) {
            println!("{family}: NOT RUN: {why}");
            not_run.push(format!("{family}: {why}"));
            continue;
        }
        let tally = trying.family(family, scenes(family)).await;
        let result = FamilyResult::of(&tally, &occasion);
        let (tried, found) = (result.tried, result.findings.len());
        println!(
            "{family}: {tried} tried, {found} wrong, {:.0} s",
            tally.took.as_secs_f64()
        );
        wrong |= found > 0;
        results.put(result);
        // After each family: what an interrupted run of hours found is not lost.
        if let (Some(out), Some(data)) = (&args.out, &data) {
            results.write(data)?;
            write(out, &page(&results, &not_run))?;
        }
    }
    if args.out.is_none() {
        println!("\n{}", page(&results, &not_run));
    }
    Ok(wrong)
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))
}

/// Tells of what went wrong at once.
fn tell(tried: &Tried) {
    match &tried.result {
        Ok(outcome) if outcome.struck => {}
        result => println!("  {}: {result:?}", tried.what),
    }
}

async fn occasion(args: &Args) -> Occasion {
    let day = jiff::Zoned::now().date().to_string();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Occasion {
        day,
        server: rebuild_chaos::world::World::version().await,
        processors,
        command: command(args),
    }
}

fn command(args: &Args) -> String {
    let mut command = "make chaos".to_owned();
    let mut options = vec![format!("--random {} --seed {}", args.random, args.seed)];
    if args.every > 1 {
        options.push(format!("--every {}", args.every));
    }
    options.push(format!("--every-message {}", args.every_message));
    options.push(format!("--every-request {}", args.every_request));
    options.push(format!("--random-service {}", args.random_service));
    if !args.only.is_empty() {
        options.push(format!("--only '{}'", args.only));
    }
    command += &format!(" ARGS=\"{}\"", options.join(" "));
    command
}
