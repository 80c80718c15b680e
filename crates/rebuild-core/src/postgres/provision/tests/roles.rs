//! A run whose role is no superuser.

use super::*;

/// The same world for a role that is no superuser, in a run of its own: a provision and its run.
async fn as_maker(w: &World, options: ProvisionOptions) -> (PgProvision, Ctx) {
    w.run(
        "create role maker login createdb; grant app_owner, reader, chief to maker;
         grant connect on database app to maker",
    )
    .await;
    let mut maintenance = w.cluster.endpoint("postgres");
    maintenance.user = "maker".to_owned();
    let ctx = Ctx::quiet();
    let lock = Arc::new(TargetLock::new(maintenance.clone(), w.app.clone()));
    w.lock.release(&w.ctx).await.expect("released");
    // The lock goes with its session, which takes the server a moment.
    let held = async {
        while lock.acquire(&ctx).await.is_err() {
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    ctx.within(std::time::Duration::from_secs(20), "the lock", held)
        .await
        .expect("the lock");
    (PgProvision::new(maintenance, lock, options), ctx)
}

#[tokio::test]
async fn settings_of_superusers_are_refused_by_name_before_anything_is_made() {
    let w = World::new().await;
    let (provision, ctx) = as_maker(&w, ProvisionOptions::default()).await;
    let staged = create::first_name(&ctx.run, "app");
    let e = provision
        .provision(&ctx, &w.request(&staged))
        .await
        .expect_err("log_statement is the superuser's");
    assert!(e.is_refusal(), "{e:?}");
    assert!(e.to_string().ends_with(": log_statement"), "{e}");
    assert!(!w.exists(&staged).await);
}

#[tokio::test]
async fn a_role_that_may_create_databases_is_enough() {
    let w = World::new().await;
    w.run(
        "alter database app reset log_statement;
         alter role reader in database app reset all",
    )
    .await;
    let options = ProvisionOptions {
        extensions: vec!["pg_trgm".into()],
        ..ProvisionOptions::default()
    };
    let (provision, ctx) = as_maker(&w, options).await;
    let mut model = w.facts("app").await;
    model
        .settings
        .retain(|(_, s)| s != "default_transaction_read_only=on");
    let request = w.request(&create::first_name(&ctx.run, "app"));
    let made = provision.provision(&ctx, &request).await.expect("made");
    for _ in 0..2 {
        assert_eq!(shared(w.facts(&made.name).await, &model), model);
        let again = provision.provision(&ctx, &request).await.expect("found");
        assert_eq!(again, made);
    }
    provision.discard(&ctx, &made).await.expect("discarded");
    assert!(!w.exists(&made.name).await);
}
