//! Backups while others write.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

/// Six tables with 2000 accounts of 100 each, and as much text that each takes a while to read.
const BANK: &str = "
    do $$ begin
        for n in 0..5 loop
            execute pg_catalog.format('create table public.bank_%s (id int primary key,
                amount int not null, x text not null)', n);
            execute pg_catalog.format('insert into public.bank_%s select i, 100,
                pg_catalog.repeat(pg_catalog.md5(i::text), 20)
                from pg_catalog.generate_series(0, 1999) i', n);
        end loop;
    end $$";
const TABLES: u64 = 6;
const TOTAL: i64 = 6 * 2000 * 100;

/// Moves money from table to table until told to stop.
async fn clerk(endpoint: Endpoint, seed: u64, stop: Arc<AtomicBool>, moved: Arc<AtomicU64>) {
    let session = Session::open(&endpoint, "clerk").await.expect("session");
    let mut at = seed;
    while !stop.load(Ordering::Relaxed) {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (one, other, row) = ((at >> 33) % TABLES, (at >> 40) % TABLES, (at >> 45) % 2000);
        // All of them in one order, or they wait for each other.
        let (from, to) = (one.min(other), one.max(other));
        let sql = format!(
            "begin; update public.bank_{from} set amount = amount - 7 where id = {row};
             update public.bank_{to} set amount = amount + 7 where id = {row}; commit"
        );
        match session.batch_execute(&sql).await {
            Ok(()) => moved.fetch_add(1, Ordering::Relaxed),
            // Two clerks at the same two accounts: nothing was moved.
            Err(_) => {
                session
                    .batch_execute("rollback")
                    .await
                    .expect("rolled back");
                continue;
            }
        };
    }
}

/// What the accounts of a backup add up to, by the files that were written beside the rows.
fn total(files: &[PathBuf]) -> i64 {
    let amount = |line: &str| {
        let amount = line.split(',').nth(1).expect("an amount");
        amount.parse::<i64>().expect("a number")
    };
    let texts = files.iter().map(std::fs::read_to_string);
    texts
        .map(|text| {
            text.expect("a file")
                .lines()
                .skip(1)
                .map(amount)
                .sum::<i64>()
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_backup_among_writers_is_of_one_moment() {
    let world = World::with(BANK).await;
    let backup = world.backup().with_csv(true);
    let (stop, moved) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let clerks: Vec<_> = (0..3)
        .map(|seed| {
            let (stop, moved) = (stop.clone(), moved.clone());
            tokio::spawn(clerk(world.endpoint.clone(), seed, stop, moved))
        })
        .collect();
    for round in 0..4 {
        let before = moved.load(Ordering::Relaxed);
        let manifest = world.take_with(&backup).await;
        let during = moved.load(Ordering::Relaxed) - before;
        assert!(during > 20, "round {round}: only {during} were moved");
        let folder = world.store_folder.path().join(format!("round_{round}"));
        let files = backup
            .export(&world.ctx, &manifest.id, &folder, ExportFormat::Csv)
            .await;
        let files = files.expect("exported");
        assert_eq!(files.len() as u64, TABLES);
        assert_eq!(total(&files), TOTAL, "round {round}: {during} were moved");
        assert_eq!(world.complaints(&manifest.id).await, Vec::<String>::new());
    }
    stop.store(true, Ordering::Relaxed);
    for clerk in clerks {
        clerk.await.expect("a clerk");
    }
}
