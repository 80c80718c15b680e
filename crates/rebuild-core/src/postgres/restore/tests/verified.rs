//! What finds each kind of damage to a database that was restored.

use std::num::NonZeroUsize;

use serde_json::json;

use super::*;
use crate::postgres::{CatalogSnapshot, PgVerifier};
use crate::traits::{Verifier, VerifyRequest};

const SCHEMA: &str = "
    create role somebody;
    create extension hstore version '1.4';
    create table person (id serial primary key, name text, height float8, born timestamptz);
    insert into person (name, height, born)
        select 'p' || n, n / 3.0, '2001-01-01'::timestamptz + n * interval '1 day'
          from generate_series(1, 500) n;
    create table visit (person_id int not null references person (id), note text);
    insert into visit select n, 'note ' || n from generate_series(1, 500) n;
    create index visit_note on visit (note);
    create function shout(t text) returns text language sql as 'select upper(t)';
    create function stamp() returns trigger language plpgsql as 'begin return new; end';
    create trigger stamped before insert on visit for each row execute function stamp();
    create view people as select name from person;
    create materialized view heights as select height from person;
    alter table person enable row level security;
    grant select on person to somebody;
    comment on table person is 'everybody';
    select lo_from_bytea(4711, 'first')";

/// Who finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// A check of rows, sequences, keys or indexes.
    Checks,
    /// The comparison of the catalogs.
    Catalog,
}

use By::{Catalog, Checks};

const DAMAGE: [(By, &str, &str); 21] = [
    (
        Checks,
        "a row is lost",
        "delete from visit where person_id = 7",
    ),
    (
        Checks,
        "one is lost, and another there twice",
        "delete from visit where person_id = 7; insert into visit values (8, 'note 8')",
    ),
    (
        Checks,
        "two values are swapped",
        "update person set name = case id when 1 then 'p2' else 'p1' end where id in (1, 2)",
    ),
    (
        Checks,
        "null and empty",
        "update person set name = '' where id = 3",
    ),
    (
        Checks,
        "a space",
        "update person set name = name || ' ' where id = 3",
    ),
    (
        Checks,
        "the last digit",
        "update person set height = height + 1e-14 where id = 1",
    ),
    (
        Checks,
        "an hour",
        "update person set born = born + interval '1 hour' where id = 5",
    ),
    (
        Checks,
        "a row that refers to nothing",
        "set session_replication_role = replica; update visit set person_id = 9999 where person_id = 9",
    ),
    (
        Checks,
        "a sequence that is behind",
        "select setval('person_id_seq', 1)",
    ),
    (
        Checks,
        "another large object",
        "select lo_put(4711, 0, 'other')",
    ),
    (
        Checks,
        "an index that is not valid",
        "update pg_index set indisvalid = false where indexrelid = 'visit_note'::regclass",
    ),
    (Catalog, "no such index", "drop index visit_note"),
    (
        Catalog,
        "no such key",
        "alter table visit drop constraint visit_person_id_fkey",
    ),
    (
        Catalog,
        "a trigger that is off",
        "alter table visit disable trigger stamped",
    ),
    (Catalog, "an owner", "alter table visit owner to somebody"),
    (Catalog, "a grant", "revoke select on person from somebody"),
    (
        Catalog,
        "row-level security",
        "alter table person disable row level security",
    ),
    (
        Catalog,
        "a view",
        "create or replace view people as select lower(name) as name from person",
    ),
    (
        Catalog,
        "a function",
        "create or replace function shout(t text) returns text language sql as 'select lower(t)'",
    ),
    (Catalog, "a comment", "comment on table person is 'nobody'"),
    (
        Catalog,
        "an extension",
        "alter extension hstore update to '1.5'",
    ),
];

struct Restored {
    world: World,
    of: Identity,
    id: BackupId,
    db: Identity,
}

impl Restored {
    async fn new() -> Self {
        let world = World::new().await;
        let (of, id, db) = world.ready(SCHEMA).await;
        world.restore(&world.restorer(true), &db, &id).await;
        // A dump does not carry the version of an extension.
        let session = world.inside(&db).await;
        session
            .batch_execute(
                "drop extension hstore; create extension hstore version '1.4' schema public",
            )
            .await
            .expect("the same version");
        Self { world, of, id, db }
    }

    /// What is found in a copy of the restored database in which `damage` was done.
    async fn found(&self, damage: &str) -> (Vec<String>, bool) {
        let world = &self.world;
        let admin = Session::open(&world.admin(), "test").await.expect("admin");
        let copy = format!("create database twin template {:?}", self.db.name);
        admin.batch_execute(&copy).await.expect("a copy");
        let session = Session::open(&world.cluster.endpoint("twin"), "test").await;
        let session = session.expect("a session");
        let damage = format!("set search_path = public; {damage}");
        session.batch_execute(&damage).await.expect(&damage);
        session.close().await;

        let session = Session::open(&world.cluster.endpoint("twin"), "test").await;
        let session = session.expect("a session");
        let facts = database_facts(&session, DatabaseKey::Current).await;
        let before = CatalogSnapshot::read(&world.inside(&self.of).await).await;
        let after = CatalogSnapshot::read(&session).await;
        let drift = CatalogSnapshot::diff(&before.expect("read"), &after.expect("read"));
        session.close().await;
        let request = VerifyRequest {
            db: facts.expect("facts").identity,
            backup: Some(self.id.clone()),
            live: false,
        };
        let verdict = self.verifier().verify(&world.ctx, &request).await;
        let complaints = verdict.expect("verified").complaints();
        let drop = "drop database twin with (force)";
        admin.batch_execute(drop).await.expect("dropped");
        (complaints, !drift.is_empty())
    }

    fn verifier(&self) -> PgVerifier {
        let checks = json!([
            {"kind": "counts"}, {"kind": "content"}, {"kind": "sequences"},
            {"kind": "indexes"}, {"kind": "foreign_keys"},
        ]);
        let checks = serde_json::from_value(checks).expect("checks");
        let jobs = NonZeroUsize::new(2).expect("2");
        let restorer = Arc::new(self.world.restorer(true));
        PgVerifier::new(self.world.admin(), checks, restorer, jobs).expect("a verifier")
    }
}

#[tokio::test]
async fn a_verification_of_everything_finds_each_damage() {
    let restored = Restored::new().await;
    let (complaints, drift) = restored.found("select").await;
    assert_eq!((complaints, drift), (Vec::new(), false), "a false alarm");
    let mut missed = Vec::new();
    for (by, what, damage) in DAMAGE {
        let (complaints, drift) = restored.found(damage).await;
        let found = match by {
            Checks => !complaints.is_empty(),
            Catalog => drift,
        };
        if !found {
            missed.push(format!("{what}: {complaints:?}, catalog differs: {drift}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
