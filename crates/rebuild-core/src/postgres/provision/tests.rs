//! Databases made, half made and taken away again on a real server.

mod scratch;

use std::sync::Arc;

use super::{PgProvision, ProvisionOptions, create};
use crate::event::Ctx;
use crate::model::{DatabaseFacts, Identity};
use crate::postgres::{
    DatabaseKey, LocalCluster, Session, TargetLock, database_facts, find_database, made_by,
};
use crate::traits::{Lock, Provision, ProvisionRequest};

struct World {
    cluster: LocalCluster,
    admin: Session,
    ctx: Ctx,
    app: Identity,
    lock: Arc<TargetLock>,
}

impl World {
    /// A server with a target `app` that has something of everything that can be copied.
    async fn new() -> Self {
        let cluster = crate::testing::cluster().await.expect("a server");
        let admin = Session::open(&cluster.endpoint("postgres"), "test")
            .await
            .expect("a session");
        for sql in [
            "create role app_owner; create role reader; create role \"Guest 2\";
             create role chief",
            "create database app template template0 encoding 'SQL_ASCII' lc_collate 'C'
             lc_ctype 'C' connection limit 7",
            "alter database app owner to app_owner;
             alter database app set search_path to \"$user\", \"a, b\", public;
             alter database app set work_mem to '7MB';
             alter database app set log_statement to 'ddl';
             alter database app set default_transaction_read_only to on;
             alter role reader in database app set statement_timeout to '5s';
             revoke all on database app from public;
             grant connect on database app to chief with grant option;
             grant create, temporary on database app to \"Guest 2\";
             comment on database app is 'the app'",
            "begin; set local role chief; grant connect on database app to reader; commit",
        ] {
            admin.batch_execute(sql).await.expect("set up");
        }
        let app = find_database(&admin, DatabaseKey::Name("app"))
            .await
            .expect("an answer")
            .expect("there");
        let ctx = Ctx::quiet();
        let lock = Arc::new(TargetLock::new(cluster.endpoint("postgres"), app.clone()));
        lock.acquire(&ctx).await.expect("the lock");
        Self {
            cluster,
            admin,
            ctx,
            app,
            lock,
        }
    }

    fn provision(&self, options: ProvisionOptions) -> PgProvision {
        PgProvision::new(
            self.cluster.endpoint("postgres"),
            self.lock.clone(),
            options,
        )
    }

    fn staged(&self) -> String {
        create::first_name(&self.ctx.run, "app")
    }

    fn request(&self, name: &str) -> ProvisionRequest {
        ProvisionRequest {
            name: name.to_owned(),
            like: Some(self.app.clone()),
        }
    }

    async fn facts(&self, name: &str) -> DatabaseFacts {
        database_facts(&self.admin, DatabaseKey::Name(name))
            .await
            .expect("facts")
    }

    async fn run(&self, sql: &str) {
        self.admin.batch_execute(sql).await.expect(sql);
    }

    async fn exists(&self, name: &str) -> bool {
        find_database(&self.admin, DatabaseKey::Name(name))
            .await
            .expect("an answer")
            .is_some()
    }
}

/// What of the facts a copy must share with its model, once the gate is left out.
fn shared(mut facts: DatabaseFacts, model: &DatabaseFacts) -> DatabaseFacts {
    facts.identity = model.identity.clone();
    facts.bytes = model.bytes;
    facts.comment.clone_from(&model.comment);
    facts
}

#[tokio::test]
async fn a_copy_is_like_its_model_but_for_the_gate() {
    let w = World::new().await;
    let provision = w.provision(ProvisionOptions::default());
    let staged = w.staged();
    let made = provision
        .provision(&w.ctx, &w.request(&staged))
        .await
        .expect("made");
    assert_eq!(made.name, staged);
    let mut model = w.facts("app").await;
    model
        .settings
        .retain(|(_, s)| s != "default_transaction_read_only=on");
    assert_eq!(model.settings.len(), 4, "{model:?}");
    assert!(
        model
            .acl
            .as_ref()
            .is_some_and(|acl| acl.iter().any(|item| item == "reader=c/chief")),
        "granted by a grantee: {model:?}"
    );
    let copy = w.facts(&staged).await;
    assert_eq!(copy.comment, Some(made_by(&w.ctx.run)));
    assert_eq!(shared(copy, &model), model);

    // Whatever is undone by hand comes back, and nothing else changes.
    w.run(&format!(
        "alter database {staged} owner to postgres;
         revoke all on database {staged} from reader, chief cascade;
         grant connect on database {staged} to public;
         alter database {staged} reset work_mem;
         alter database {staged} with allow_connections false connection limit 3"
    ))
    .await;
    let again = provision
        .provision(&w.ctx, &w.request(&staged))
        .await
        .expect("completed");
    assert_eq!(again, made);
    assert_eq!(shared(w.facts(&staged).await, &model), model);
}

#[tokio::test]
async fn options_go_before_the_model() {
    let w = World::new().await;
    let provision = w.provision(ProvisionOptions {
        owner: Some("chief".into()),
        encoding: Some("UTF8".into()),
        connection_limit: Some(-1),
        settings: vec![
            ("work_mem".into(), "9MB".into()),
            ("app.name".into(), "it's".into()),
        ],
        grants: vec!["CREATE TO reader WITH GRANT OPTION".into()],
        extensions: vec!["pg_trgm".into()],
        ..ProvisionOptions::default()
    });
    let staged = w.staged();
    let made = provision
        .provision(&w.ctx, &w.request(&staged))
        .await
        .expect("made");
    let facts = w.facts(&staged).await;
    assert_eq!(facts.owner, "chief");
    assert_eq!(facts.encoding, "UTF8");
    assert_eq!(facts.collate, "C");
    assert_eq!(facts.connection_limit, -1);
    let settings: Vec<&str> = facts.settings.iter().map(|(_, s)| s.as_str()).collect();
    assert!(settings.contains(&"work_mem=9MB"), "{settings:?}");
    assert!(settings.contains(&"app.name=it's"), "{settings:?}");
    assert!(!settings.contains(&"work_mem=7MB"), "{settings:?}");
    let acl = facts.acl.expect("not the default");
    assert!(
        acl.contains(&"reader=C*c/chief".to_owned()),
        "the model's and the given one: {acl:?}"
    );
    let inside = Session::open_at(&w.cluster.endpoint("postgres"), &made, &w.ctx)
        .await
        .expect("a session");
    let schema: String = inside
        .query_one(
            "select extnamespace::pg_catalog.regnamespace::text from pg_catalog.pg_extension
              where extname = 'pg_trgm'",
            &[],
        )
        .await
        .expect("created")
        .get(0);
    assert_eq!(schema, "public");
}

#[tokio::test]
async fn without_a_model_the_servers_defaults_hold() {
    let w = World::new().await;
    let request = ProvisionRequest {
        name: w.staged(),
        like: None,
    };
    w.provision(ProvisionOptions::default())
        .provision(&w.ctx, &request)
        .await
        .expect("made");
    let facts = w.facts(&request.name).await;
    assert_eq!(facts.owner, "postgres");
    assert_eq!(facts.acl, None);
    assert_eq!(facts.settings, []);
}

#[tokio::test]
async fn what_a_killed_run_left_is_completed_wherever_it_was_killed() {
    let w = World::new().await;
    let provision = w.provision(ProvisionOptions::default());
    // Under the run's own name and under a name of everyone's, which is first made aside.
    for name in [w.staged(), "place".to_owned()] {
        let first = create::first_name(&w.ctx.run, &name);
        let mark = made_by(&w.ctx.run);
        let kills = [
            format!("create database {first} template template0"),
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
async fn a_name_that_is_taken_is_refused() {
    let w = World::new().await;
    let provision = w.provision(ProvisionOptions::default());
    let other = made_by(&Ctx::quiet().run);
    let staged = w.staged();
    // The target itself; another run's; one of our name with something in it.
    w.run("create database theirs").await;
    w.run(&format!("comment on database theirs is '{other}'"))
        .await;
    w.run(&format!("create database {staged}")).await;
    Session::open(&w.cluster.endpoint(&staged), "test")
        .await
        .expect("a session")
        .batch_execute("create table public.precious ()")
        .await
        .expect("a table");
    for name in ["app", "theirs", &staged] {
        let e = provision
            .provision(&w.ctx, &w.request(name))
            .await
            .expect_err("taken");
        assert!(e.is_refusal(), "{e:?}");
        assert!(e.to_string().contains(name), "{e}");
    }
    assert!(!w.exists(&create::first_name(&w.ctx.run, "theirs")).await);
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

#[tokio::test]
async fn every_locale_provider_of_the_server_is_copied() {
    let w = World::new().await;
    let provision = w.provision(ProvisionOptions::default());
    let major = crate::postgres::server_facts(&w.admin)
        .await
        .expect("facts")
        .major();
    let providers = [
        (13, "lc_collate 'C.UTF-8' lc_ctype 'C'"),
        (15, "locale_provider icu icu_locale 'de-AT' locale 'C'"),
        (
            16,
            "locale_provider icu icu_locale 'und' icu_rules '&V << w <<< W' locale 'C'",
        ),
        (
            17,
            "locale_provider builtin builtin_locale 'C.UTF-8' locale 'C'",
        ),
    ];
    for (at, (since, clauses)) in providers.into_iter().enumerate() {
        if major < since {
            continue;
        }
        let model = format!("model_{at}");
        w.run(&format!(
            "create database {model} template template0 encoding 'UTF8' {clauses}"
        ))
        .await;
        let facts = w.facts(&model).await;
        let request = ProvisionRequest {
            name: format!("copy_{at}"),
            like: Some(facts.identity.clone()),
        };
        provision.provision(&w.ctx, &request).await.expect("made");
        assert_eq!(shared(w.facts(&request.name).await, &facts), facts);
    }
}
