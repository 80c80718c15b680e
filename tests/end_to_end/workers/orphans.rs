//! Workers whose coordinator is killed.

use rebuild_core::testing::wait_for_lock;

use super::*;

/// A command whose one worker stands still in the middle of its share until the coordinator is gone.
async fn left_alone(target: &Target<'_>, command: &[&str], databases: &[&str]) -> Run {
    let session = target.session().await;
    let largest = "select c.oid::text from pg_class c
                     join pg_namespace n on n.oid = c.relnamespace
                    where n.nspname = 'public' and c.relkind = 'r'
                    order by pg_table_size(c.oid) desc limit 1";
    let oid: String = session
        .query_one(largest, &[])
        .await
        .expect("a table")
        .get(0);
    let named = format!("select {oid}::regclass::text");
    let table: String = session
        .query_one(&named, &[])
        .await
        .expect("its name")
        .get(0);
    let task = target.store().join("work/alone/task.json");
    // The locker waits, and then somebody who reads rows.
    let waits = |who: &str| {
        format!(
            "relation = {oid} and exists (
                 select from pg_stat_activity a
                  where a.pid = pg_locks.pid and a.query like '{who} %')"
        )
    };
    // Whoever wants a lock that the coordinator's keeps away stands before all who come later.
    let locker = async {
        while !task.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let sql = format!("begin; lock table {table} in access exclusive mode; rollback");
        session.batch_execute(&sql).await.expect("locked");
    };
    let endpoint = target.endpoint();
    let worker = async {
        wait_for_lock(&endpoint, &waits("begin; lock")).await;
        let args = [&["worker", "--work", "alone", "--index", "0"], databases].concat();
        target.rebuild(&args).await
    };
    let stands_still = async {
        wait_for_lock(&endpoint, &waits("copy")).await;
    };
    let args = [command, &["--workers", "tasks:1", "--work", "alone"]].concat();
    let killed = target.signal_when(&args, stands_still, Signal::KILL);
    let (killed, (), worker) = tokio::join!(killed, locker, worker);
    assert!(killed.was_killed(), "{}", killed.stderr);
    worker
}

#[tokio::test]
async fn a_worker_whose_coordinator_was_killed_ends_before_its_next_piece() {
    let world = World::start().await;
    let commands = ["backup", "verify", "copy"];
    for command in commands {
        let target = world.target(&format!("alone_{command}"), ASIDE).await;
        target.edit_spec("csv = true", "jobs = 1");
        let twin = world.target(&format!("twin_{command}"), ASIDE).await;
        let (own, with) = (
            format!("dbname={}", target.name),
            format!("dbname={}", twin.name),
        );
        let made = format!("dbname=made_{command}");
        let (args, databases): (Vec<&str>, Vec<&str>) = match command {
            "backup" => (vec!["backup"], vec![]),
            "verify" => (vec!["verify", "--with", &with], vec!["--with", &with]),
            _ => (
                vec!["copy", &own, &made],
                vec!["--source", &own, "--target", &made],
            ),
        };
        let worker = left_alone(&target, &args, &databases).await.expect(3);
        let why = "its coordinator has ended";
        assert!(worker.stderr.contains(why), "{command}: {}", worker.stderr);
        let work = target.store().join("work/alone");
        assert!(work.join("task.json").exists(), "{command}");
        assert!(!work.join("result-00000.json").exists(), "{command}");
    }
}
