//! Scratch databases.

use super::World;
use crate::event::Ctx;
use crate::postgres::{ProvisionOptions, ScratchDatabase, Session, neighbours};

async fn make(w: &World, ctx: &Ctx) -> crate::error::Result<ScratchDatabase> {
    let like = w.facts("app").await;
    ScratchDatabase::make(&w.cluster.endpoint("postgres"), &like, ctx).await
}

fn name(ctx: &Ctx) -> String {
    format!("rebuild_scratch_{}", ctx.run.short())
}

#[tokio::test]
async fn it_is_like_its_model_and_goes_away() {
    let w = World::new().await;
    let model = w.facts("app").await;
    let options = ProvisionOptions {
        extensions: vec!["pg_trgm".into()],
        encoding: Some("UTF8".into()),
        ..ProvisionOptions::default()
    };
    let scratch =
        ScratchDatabase::make_as(&w.cluster.endpoint("postgres"), &model, &options, &w.ctx)
            .await
            .expect("made");
    assert_eq!(scratch.identity().name, name(&w.ctx));
    let facts = w.facts(&name(&w.ctx)).await;
    assert_eq!(facts.identity, *scratch.identity());
    assert_eq!(facts.encoding, "UTF8");
    assert_eq!(facts.collate, model.collate);
    assert_eq!(facts.owner, "app_owner");
    let settings: Vec<&str> = facts.settings.iter().map(|(_, s)| s.as_str()).collect();
    assert_eq!(
        settings,
        [
            "log_statement=ddl",
            "search_path=\"$user\", \"a, b\", public",
            "synchronous_commit=off",
            "work_mem=7MB"
        ],
        "neither the gate nor another role's"
    );
    // Whoever is in it is sent away; what is gone already is no error.
    let inside = Session::open(&w.cluster.endpoint(&name(&w.ctx)), "somebody")
        .await
        .expect("a session");
    scratch.remove(&w.ctx).await.expect("removed");
    assert!(inside.execute("select 1", &[]).await.is_err(), "ended");
    assert!(!w.exists(&name(&w.ctx)).await);
    let scratch = make(&w, &w.ctx).await.expect("made again");
    w.run(&format!("drop database {}", name(&w.ctx))).await;
    scratch.remove(&w.ctx).await.expect("gone is fine");
}

#[tokio::test]
async fn what_a_killed_process_of_the_run_left_is_made_anew() {
    let w = World::new().await;
    let first = make(&w, &w.ctx).await.expect("made").identity().clone();
    let second = make(&w, &w.ctx).await.expect("made anew");
    assert!(!first.is_same_thing(second.identity()));
    second.remove(&w.ctx).await.expect("removed");
    // Killed before it was marked.
    w.run(&format!("create database {}", name(&w.ctx))).await;
    make(&w, &w.ctx).await.expect("made anew");
    // Somebody's own.
    w.run(&format!("comment on database {} is 'mine'", name(&w.ctx)))
        .await;
    let e = make(&w, &w.ctx).await.err().expect("taken");
    assert!(e.is_refusal(), "{e:?}");
    assert!(w.exists(&name(&w.ctx)).await);
}

#[tokio::test]
async fn a_sweep_removes_what_nobody_uses_any_more() {
    let w = World::new().await;
    let long_ago = "2020-01-01T00:00:00Z";
    let mark = |ctx: &Ctx, made: &str| format!("rebuild: scratch of {}, made {made}", ctx.run);
    let [dead, young, in_use, alive, strange] = [(); 5].map(|()| Ctx::quiet());
    for (ctx, comment) in [
        (&dead, mark(&dead, long_ago)),
        (&in_use, mark(&in_use, long_ago)),
        (&alive, mark(&alive, long_ago)),
        (&strange, format!("scratch of {}", strange.run)),
    ] {
        w.run(&format!("create database {}", name(ctx))).await;
        w.run(&format!("comment on database {} is '{comment}'", name(ctx)))
            .await;
    }
    drop(make(&w, &young).await.expect("made just now"));
    // Whoever replaces the whole server asks what else is on it.
    let session = Session::open(&w.cluster.endpoint("postgres"), "test").await;
    let session = session.expect("a session");
    let neighbours = neighbours(&session).await.expect("the databases");
    assert_eq!(neighbours, ["app", &name(&strange)]);
    session.close().await;
    let _in_use = Session::open(&w.cluster.endpoint(&name(&in_use)), "psql")
        .await
        .expect("a session");
    let _alive = Session::open(
        &w.cluster.endpoint("postgres"),
        &crate::postgres::application(&alive),
    )
    .await
    .expect("a session");

    let maintenance = w.cluster.endpoint("postgres");
    let removed = ScratchDatabase::sweep(&maintenance, &w.ctx)
        .await
        .expect("swept");
    assert_eq!(removed, [name(&dead)]);
    for kept in [&young, &in_use, &alive, &strange] {
        assert!(w.exists(&name(kept)).await, "{}", kept.run);
    }
    let again = ScratchDatabase::sweep(&maintenance, &w.ctx)
        .await
        .expect("swept");
    assert_eq!(again, [] as [&str; 0]);
}

/// Killed before it was marked: known by its name, and by being empty and nobody's.
#[tokio::test]
async fn what_was_never_marked_is_marked_first_and_removed_later() {
    let w = World::new().await;
    let [left, full, alive] = [(); 3].map(|()| Ctx::quiet());
    for ctx in [&left, &full, &alive] {
        w.run(&format!("create database {}", name(ctx))).await;
    }
    let inside = Session::open(&w.cluster.endpoint(&name(&full)), "somebody").await;
    let inside = inside.expect("a session");
    inside
        .batch_execute("create table public.t ()")
        .await
        .expect("made");
    inside.close().await;
    let maintenance = w.cluster.endpoint("postgres");
    let of_the_run = crate::postgres::application(&alive);
    let _alive = Session::open(&maintenance, &of_the_run)
        .await
        .expect("a session");
    let sweep = async || ScratchDatabase::sweep(&maintenance, &w.ctx).await;
    assert_eq!(sweep().await.expect("swept"), [] as [&str; 0]);
    let comment = async |ctx: &Ctx| w.facts(&name(ctx)).await.comment;
    let mark = format!("rebuild: scratch of {}, made ", left.run.short());
    let marked = comment(&left).await.expect("a mark");
    assert!(marked.starts_with(&mark), "{marked}");
    assert_eq!(comment(&full).await, None);
    assert_eq!(comment(&alive).await, None);

    let long_ago = format!("{mark}2020-01-01T00:00:00Z");
    w.run(&format!(
        "comment on database {} is '{long_ago}'",
        name(&left)
    ))
    .await;
    assert_eq!(sweep().await.expect("swept"), [name(&left)]);
    assert!(w.exists(&name(&full)).await);
    assert!(w.exists(&name(&alive)).await);
}
