//! Rows of two databases: comparisons and copies.

use super::*;

impl Stage<'_> {
    /// Runs `rebuild ARGS`, while one pod is lost as `what` says.
    async fn with_mishap(&self, what: &str, args: &[&str]) -> Run {
        let running = self.target.rebuild_json(args);
        let run = if what.contains("hangs") {
            let ending = self.end_the_one_that_hangs(what.contains("deleted"));
            tokio::join!(running, ending).0
        } else {
            running.await
        };
        let lost = what.contains("hangs") || run.stderr.contains("the first is lost");
        assert!(lost, "{what}: {}", run.stderr);
        assert!(self.target.folder.join("tried").exists(), "{what}");
        self.no_work_is_left();
        run
    }

    fn no_work_is_left(&self) {
        assert!(self.cluster.list("Job", "default").is_empty());
        assert!(!self.target.store().join("work").exists());
    }
}

#[tokio::test]
async fn pods_of_a_job_find_what_one_process_finds_in_two_databases() {
    let world = World::start().await;
    for (n, (what, script)) in MISHAPS.into_iter().enumerate() {
        let stage = Stage::new(&world, &format!("compared{n}"), script).await;
        let twin = world.target(&format!("twin{n}"), ASIDE).await;
        let address = format!("dbname={}", twin.name);
        let alone = ["verify", "--with", &address];
        let shared = [&alone[..], &["--workers", "k8s:3"]].concat();
        let run = stage.with_mishap(what, &shared).await.expect(0);
        let equal = stage.target.rebuild_json(&alone).await.expect(0);
        assert_eq!(run.json(), equal.json(), "{what}");
        assert!(run.json()["rows"][0].as_u64() > Some(2000), "{what}");

        twin.sql("update public.person set team = 'other' where id = 7")
            .await;
        let shared = [&shared[..], &["--rows"]].concat();
        let differing = stage.target.rebuild_json(&shared).await.expect(6);
        let alone = [&alone[..], &["--rows"]].concat();
        let expected = stage.target.rebuild_json(&alone).await.expect(6).json();
        assert_eq!(differing.json(), expected, "{what}");
        assert!(
            expected.to_string().contains("person"),
            "{what}: {expected}"
        );
        stage.no_work_is_left();
    }
}

#[tokio::test]
async fn pods_of_a_job_compare_a_database_with_its_backup() {
    let world = World::start().await;
    let (what, script) = MISHAPS[0];
    let stage = Stage::new(&world, "with_backup", script).await;
    let target = &stage.target;
    let taken = target.rebuild_json(&["backup"]).await.expect(0).json();
    let id = taken[0]["id"].as_str().expect("an id");
    let alone = ["verify", "--backup", id];
    let shared = [&alone[..], &["--workers", "k8s:2"]].concat();
    let content = |run: &Run| -> Value {
        let verdict = run.json();
        let checks = verdict["checks"].as_array().expect("checks").iter();
        let mut content = checks.filter(|check| check["name"] == "content");
        content.next().cloned().expect("content was compared")
    };
    // What else is checked differs: it has drifted.
    let run = stage.with_mishap(what, &shared).await.expect(6);
    let one = target.rebuild_json(&alone).await.expect(6);
    assert_eq!(run.json(), one.json());
    assert_eq!(content(&run)["outcome"], "passed", "{}", run.stdout);
    target
        .sql("delete from public.reservation where id = 9")
        .await;
    let run = target.rebuild_json(&shared).await.expect(6);
    assert_eq!(
        run.json(),
        target.rebuild_json(&alone).await.expect(6).json()
    );
    let complaint = content(&run).to_string();
    assert!(
        complaint.contains("public.reservation has 1999 rows"),
        "{complaint}"
    );

    // A comparison with a backup compares content, whether the spec's checks do or not.
    target.edit_spec("[[verify]]\nkind = \"content\"\n", "");
    let run = target.rebuild_json(&shared).await.expect(6);
    let complaint = content(&run).to_string();
    assert!(
        complaint.contains("public.reservation has 1999 rows"),
        "{complaint}"
    );
    let unnamed = [&shared[..], &["--rows"]].concat();
    let refused = target.rebuild(&unnamed).await.expect(2);
    assert!(
        refused
            .stderr
            .contains("workers do not name those of a backup"),
        "{}",
        refused.stderr
    );
    stage.no_work_is_left();
}

#[tokio::test]
async fn pods_of_a_job_bring_what_one_process_brings() {
    let world = World::start().await;
    for (n, (what, script)) in MISHAPS.into_iter().enumerate() {
        let stage = Stage::new(&world, &format!("copied{n}"), script).await;
        let source = format!("dbname={}", stage.target.name);
        let copy = format!("copied{n}_copy");
        let args = [
            "copy",
            &source,
            &format!("dbname={copy}"),
            "--workers",
            "k8s:3",
        ];
        let run = stage.with_mishap(what, &args).await.expect(0);
        assert_eq!(run.json()[0]["name"], *copy, "{what}");
        let same = ["verify", "--with", &format!("dbname={copy}")];
        stage.target.rebuild(&same).await.expect(0);
        // The sequences are in no table.
        let next = "select nextval('public.person_id_seq')";
        let twin = world.session(&copy).await;
        let after: i64 = twin.query_one(next, &[]).await.expect(next).get(0);
        assert_eq!(after, 401, "{what}");
        assert!(!stage.target.store().join("backups").exists(), "{what}");
        // A copy never replaces anything.
        let again = stage.target.rebuild(&args).await.expect(3);
        assert!(again.stderr.contains("exists already"), "{}", again.stderr);
    }
}

#[tokio::test]
async fn workers_that_fail_for_good_are_no_copy_and_no_comparison() {
    let world = World::start().await;
    let stage = Stage::new(&world, "refused", "rmdir \"$1\"; echo no such luck; exit 3").await;
    let source = format!("dbname={}", stage.target.name);
    let before = world.databases().await;
    for args in [
        ["copy", &source, "dbname=never", "--workers", "k8s:2"].as_slice(),
        &["verify", "--with", "dbname=postgres", "--workers", "k8s:2"],
    ] {
        let run = stage.target.rebuild(args).await.expect(7);
        for told in ["PodFailurePolicy", "no such luck"] {
            assert!(run.stderr.contains(told), "{told}: {}", run.stderr);
        }
        assert_eq!(world.databases().await, before);
        assert!(!stage.target.store().join("work").exists());
    }
}

#[tokio::test]
async fn tasks_are_told_where_the_databases_are() {
    let world = World::start().await;
    let mut target = world.target("told", ASIDE).await;
    let twin = world.target("told_twin", ASIDE).await;
    let address = format!("dbname={}", twin.name);
    let shared = [
        "verify",
        "--with",
        &address,
        "--workers",
        "tasks:2",
        "--work",
        "w1",
    ];
    let worker = ["worker", "--work", "w1", "--wait", "60s", "--index"];
    let first = [&worker[..], &["0", "--with", &address]].concat();
    let second = [&worker[..], &["1", "--with", &address]].concat();
    let lost = [&worker[..], &["0"]].concat();
    // Who does not know where it is says so, and leaves the share to another.
    let told = target.rebuild(&lost);
    let all = async {
        let told = told.await.expect(2);
        assert!(
            told.stderr.contains("REBUILD_VERIFY_WITH"),
            "{}",
            told.stderr
        );
        tokio::join!(target.rebuild(&first), target.rebuild(&second))
    };
    let (run, (first, second)) = tokio::join!(target.rebuild(&shared), all);
    run.expect(0);
    first.expect(0);
    second.expect(0);

    let source = format!("dbname={}", target.name);
    let made = "dbname=told_copy";
    let shared = [
        "copy",
        &source,
        made,
        "--workers",
        "tasks:1",
        "--work",
        "w2",
    ];
    let variables = [
        ("REBUILD_COPY_SOURCE", &*source),
        ("REBUILD_COPY_TARGET", made),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    target.environment.extend(variables);
    let worker = ["worker", "--work", "w2", "--wait", "60s", "--index", "0"];
    let (run, worker) = tokio::join!(target.rebuild(&shared), target.rebuild(&worker));
    worker.expect(0);
    run.expect(0);
    target.rebuild(&["verify", "--with", made]).await.expect(0);
}

#[tokio::test]
async fn what_workers_cannot_share_is_refused_before_anything_is_touched() {
    let world = World::start().await;
    let stage = Stage::new(&world, "unshared", "exit 1").await;
    let before = world.databases().await;
    let secret = "postgresql://u:hunter2@127.0.0.1:1/db";
    let plain = "postgresql://u@127.0.0.1:1/db";
    for (args, why) in [
        (vec!["verify", "--workers", "k8s:2"], "--with URL"),
        (
            vec!["verify", "--with", secret, "--workers", "k8s:2"],
            "REBUILD_VERIFY_WITH_PASSWORD",
        ),
        (
            vec!["copy", secret, plain, "--workers", "k8s:2"],
            "REBUILD_COPY_SOURCE_PASSWORD",
        ),
        (
            vec!["copy", plain, secret, "--workers", "k8s:2"],
            "REBUILD_COPY_TARGET_PASSWORD",
        ),
        (
            vec![
                "copy",
                plain,
                plain,
                "--workers",
                "tasks:2",
                "--backup-folder",
                "kept",
            ],
            "--backup-folder",
        ),
        (vec!["verify", "--with", plain, "--work", "w"], "--workers"),
    ] {
        let run = stage.target.rebuild(&args).await.expect(2);
        assert!(run.stderr.contains(why), "{why}: {}", run.stderr);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    }
    stage.no_work_is_left();
    assert_eq!(world.databases().await, before);
    assert!(!stage.target.folder.join("tried").exists(), "no pod ran");
}
