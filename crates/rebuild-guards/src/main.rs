//! `make guards`.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use rebuild_guards::copy;
use rebuild_guards::list::{Guard, List, root};
use rebuild_guards::tests::{Test, build, named};
use rebuild_guards::trial::{Verdict, try_guard};

/// Takes each guard out of the program, and looks whether its test fails then.
#[derive(Parser)]
struct Args {
    /// Only the guards whose hazards or words contain this
    #[arg(long, default_value = "")]
    only: String,
    /// How many tests at once
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,
    /// How many seconds a test may take
    #[arg(long, default_value_t = 120)]
    limit: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match tried(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// True if every guard that was taken out was missed.
fn tried(args: &Args) -> Result<bool, String> {
    let list = List::read()?;
    let place = root().join("target/without-guards");
    copy::bring_up_to_date(&root(), &place.join("src"), &list.guards)?;
    let began = Instant::now();
    let tests = build(&place.join("src"), &place.join("target"))?;
    println!("built in {} s", began.elapsed().as_secs());
    let began = Instant::now();
    let wanted = |guard: &Guard| guard.name().contains(&args.only);
    let guards: Vec<&Guard> = list.guards.iter().filter(|guard| wanted(guard)).collect();
    let verdicts = all(&guards, &tests, args);
    let good = verdicts.iter().filter(|verdict| verdict.is_good()).count();
    println!(
        "{good} of {} guards are missed by their test when they are out; {} hazards have none that could be; {} s",
        guards.len(),
        list.nothing.len(),
        began.elapsed().as_secs()
    );
    Ok(good == guards.len())
}

/// The verdicts on `guards`, several at once.
fn all(guards: &[&Guard], tests: &[Test], args: &Args) -> Vec<Verdict> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::new());
    let limit = Duration::from_secs(args.limit);
    std::thread::scope(|scope| {
        for _ in 0..args.workers {
            scope.spawn(|| {
                while let Some(guard) = guards.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = try_guard(guard, &named(tests, &guard.test), limit);
                    println!("{verdict}: {} ({})", guard.name(), guard.test);
                    verdicts.lock().expect("no panic").push(verdict);
                }
            });
        }
    });
    verdicts.into_inner().expect("no panic")
}
