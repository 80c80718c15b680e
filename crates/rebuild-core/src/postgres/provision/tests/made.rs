//! Databases that are made as they should be.

use super::*;

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
async fn what_somebody_has_put_into_template1_does_not_come_along() {
    let w = World::new().await;
    let planted = "create table public.planted (); create schema person";
    let template = Session::open(&w.cluster.endpoint("template1"), "test").await;
    let template = template.expect("a session");
    template.batch_execute(planted).await.expect("planted");
    template.close().await;
    w.run("create database shows_it").await;
    let made = w
        .provision(ProvisionOptions::default())
        .provision(&w.ctx, &w.request(&w.staged()))
        .await
        .expect("made");
    for (name, there) in [("shows_it", true), (made.name.as_str(), false)] {
        let inside = Session::open(&w.cluster.endpoint(name), "test").await;
        let row = inside
            .expect("a session")
            .query_one(
                "select pg_catalog.to_regclass('public.planted') is not null
                    and pg_catalog.to_regnamespace('person') is not null",
                &[],
            )
            .await
            .expect("an answer");
        assert_eq!(row.get::<_, bool>(0), there, "{name}");
    }
}

#[tokio::test]
async fn a_tablespace_that_is_not_there_makes_no_database() {
    let w = World::new().await;
    let provision = w.provision(ProvisionOptions {
        tablespace: Some("nowhere".into()),
        ..ProvisionOptions::default()
    });
    let staged = w.staged();
    let e = provision.provision(&w.ctx, &w.request(&staged)).await;
    let e = e.expect_err("there is none");
    assert!(e.chain().contains("\"nowhere\""), "{}", e.chain());
    assert!(!w.exists(&staged).await);
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
