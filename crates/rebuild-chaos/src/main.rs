//! `make chaos`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rebuild_chaos::faults::{Extent, FAMILIES, missing, scenes};
use rebuild_chaos::reliability::{About, page};
use rebuild_chaos::report::{Tried, Trying};

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
    /// Write the page here
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
    let about = about(&args).await;
    let mut tallies = Vec::new();
    let mut not_run = Vec::new();
    for family in FAMILIES.iter().filter(|f| f.contains(&args.only)) {
        if let Some(why) = missing(family) {
            println!("{family}: NOT RUN: {why}");
            not_run.push(format!("{family}: {why}"));
            continue;
        }
        let tally = trying.family(family, scenes(family)).await;
        let (tried, wrong) = (tally.tried.len(), tally.findings().len());
        println!(
            "{family}: {tried} tried, {wrong} wrong, {:.0} s",
            tally.took.as_secs_f64()
        );
        tallies.push(tally);
        // After each family: what an interrupted run of an hour found is not lost.
        if let Some(out) = &args.out {
            let so_far = page(&tallies, &not_run, &about);
            std::fs::write(out, so_far).expect("the page is written");
        }
    }
    if args.out.is_none() {
        println!("\n{}", page(&tallies, &not_run, &about));
    }
    let wrong = tallies.iter().any(|tally| !tally.findings().is_empty());
    ExitCode::from(u8::from(wrong))
}

/// Tells of what went wrong at once.
fn tell(tried: &Tried) {
    match &tried.result {
        Ok(outcome) if outcome.struck => {}
        result => println!("  {}: {result:?}", tried.what),
    }
}

async fn about(args: &Args) -> About {
    let day = jiff::Zoned::now().date().to_string();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    About {
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
