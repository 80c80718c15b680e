//! Half-made databases, and those that go.

use super::*;

#[tokio::test]
async fn what_a_killed_run_left_is_completed_wherever_it_was_killed() {
    let w = World::new().await;
    // Templates often have extensions in them.
    w.run("create database furnished template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'").await;
    let furnished = Session::open(&w.cluster.endpoint("furnished"), "test")
        .await
        .expect("a session");
    let sql = "create table public.t (id int)";
    furnished.batch_execute(sql).await.expect(sql);
    furnished.close().await;
    // Under the run's own name and under a name of everyone's, which is first made aside.
    for (name, template) in [
        (w.staged(), "template0"),
        ("place".to_owned(), "template0"),
        (w.staged(), "furnished"),
    ] {
        let provision = w.provision(ProvisionOptions {
            template: Some(template.to_owned()),
            ..ProvisionOptions::default()
        });
        let first = create::first_name(&w.ctx.run, &name);
        let mark = made_by(&w.ctx.run);
        let kills = [
            format!("create database {first} template {template}"),
            format!("comment on database {first} is '{mark}'"),
        ];
        for killed_after in 1..=kills.len() {
            for sql in &kills[..killed_after] {
                w.run(sql).await;
            }
            let left = provision
                .look(&w.ctx, &name)
                .await
                .expect("an answer")
                .expect("found under its first name");
            let made = provision
                .provision(&w.ctx, &w.request(&name))
                .await
                .expect("completed");
            assert!(made.is_same_thing(&left), "not made twice");
            assert_eq!(made.name, name);
            let facts = w.facts(&name).await;
            assert_eq!(facts.comment, Some(mark.clone()));
            assert_eq!(facts.owner, "app_owner");
            for _ in 0..2 {
                provision.discard(&w.ctx, &made).await.expect("discarded");
            }
            assert!(!w.exists(&name).await && !w.exists(&first).await);
        }
    }
}

#[tokio::test]
async fn discard_drops_what_the_run_made_and_nothing_else() {
    let w = World::new().await;
    let provision = w.provision(ProvisionOptions::default());
    let made = provision
        .provision(&w.ctx, &w.request(&w.staged()))
        .await
        .expect("made");

    let e = provision
        .discard(&w.ctx, &w.app)
        .await
        .expect_err("the target has no mark");
    assert!(e.is_refusal(), "{e:?}");
    let e = provision
        .discard(&Ctx::quiet(), &made)
        .await
        .expect_err("another run's");
    assert!(e.is_refusal(), "{e:?}");
    let elsewhere = Identity {
        server: "1".into(),
        ..made.clone()
    };
    assert!(provision.discard(&w.ctx, &elsewhere).await.is_err());

    // Put in service: renamed, and the mark gone.
    w.run(&format!("comment on database {} is null", made.name))
        .await;
    w.run(&format!("alter database {} rename to live", made.name))
        .await;
    let e = provision
        .discard(&w.ctx, &made)
        .await
        .expect_err("in service");
    assert!(e.is_refusal(), "{e:?}");
    assert!(w.exists("live").await && w.exists("app").await);

    // Marked and renamed, closed, in use: still ours.
    w.run(&format!(
        "comment on database live is '{}'",
        made_by(&w.ctx.run)
    ))
    .await;
    let inside = Session::open(&w.cluster.endpoint("live"), "somebody")
        .await
        .expect("a session");
    provision.discard(&w.ctx, &made).await.expect("dropped");
    assert!(inside.execute("select 1", &[]).await.is_err(), "ended");
    assert!(!w.exists("live").await && w.exists("app").await);
    provision
        .discard(&w.ctx, &made)
        .await
        .expect("gone is fine");
}

#[tokio::test]
async fn a_half_dropped_database_is_dropped_again() {
    let w = World::new().await;
    let provision = w.provision(ProvisionOptions::default());
    let made = provision
        .provision(&w.ctx, &w.request(&w.staged()))
        .await
        .expect("made");
    w.run(&format!(
        "update pg_catalog.pg_database set datconnlimit = -2 where oid = {}",
        made.uid
    ))
    .await;
    let e = provision
        .provision(&w.ctx, &w.request(&made.name))
        .await
        .expect_err("cannot be completed");
    assert!(e.is_refusal(), "{e:?}");
    provision.discard(&w.ctx, &made).await.expect("dropped");
    assert!(!w.exists(&made.name).await);
}
