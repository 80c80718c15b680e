//! What is hidden stays hidden.

use std::path::Path;
use std::sync::Mutex;

use super::*;
use crate::event::{Event, Sink};

/// Every secret has this in it.
const SECRET: &str = "zq7-secret";

/// People with secrets in every way they can be masked, and some that refer to them by a name.
const PROD: &str = "
    create table public.person (
        email text primary key, name varchar(60) not null, phone text, token uuid, born date,
        note text, card text unique, parent text references public.person);
    create table public.message (
        id int generated always as identity primary key,
        sender text not null references public.person on update cascade, body text not null);
    create table public.audit (id int primary key, line text);
    create materialized view public.people as select email, name from public.person;
    create index on public.person (lower(note));
    insert into public.person
    select 'zq7-secret-' || n || '@corp.example', 'zq7-secret ' || n, '+49 30 zq7-secret-' || n,
           null, '1990-01-01', 'zq7-secret note ' || n, 'zq7-secret-' || (1000 + n),
           case when n > 5 then 'zq7-secret-' || n - 5 || '@corp.example' end
      from generate_series(1, 200) n;
    insert into public.message (sender, body)
    select 'zq7-secret-' || 1 + n % 200 || '@corp.example', 'zq7-secret body ' || n
      from generate_series(1, 2000) n;
    insert into public.audit select n, 'zq7-secret' from generate_series(1, 50) n;
    refresh materialized view public.people; analyze";

const MASKS: &str = "
    [mask]
    salt = \"pepper\"
    require = [\"*mail*\", \"*phone*\", \"*token*\"]
    allow = [\"public.person.token\"]
    column = [
        { column = \"public.person.email\", with = \"email\" },
        { column = \"*.*.name\", with = \"name\" },
        { column = \"public.person.phone\", with = \"null\" },
        { column = \"public.person.note\", sql = \"'note of ' || pg_catalog.length(note)\" },
        { column = \"public.person.card\", with = \"keep-format\" },
        { column = \"public.person.born\", with = \"date-shift\", by = \"email\" },
        { column = \"public.message.body\", with = \"constant\", value = \"text\" },
    ]
    [[source.table]]
    table = \"public.audit\"
    rows = false
    [[source.table]]
    table = \"public.person\"
    where = \"born is not null and name !~ ' (7|77)$'\"";

/// Keeps everything that is told.
#[derive(Default)]
struct Told(Mutex<String>);

impl Sink for Told {
    fn event(&self, event: &Event) {
        let line = serde_json::to_string(event).expect("JSON");
        self.0.lock().expect("unpoisoned").push_str(&line);
    }

    fn progress(&self, _: &crate::event::Progress) {}
}

/// Every file at `path` or below that has a secret in it.
fn leaks(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder") {
            found.extend(leaks(&entry.expect("an entry").path()));
        }
    } else if let Ok(bytes) = std::fs::read(path)
        && memchr::memmem::find(&bytes, SECRET.as_bytes()).is_some()
    {
        found.push(path.display().to_string());
    }
    found
}

#[tokio::test]
async fn what_is_masked_is_nowhere_but_in_the_source() {
    let world = World::new(PROD, "").await;
    let all =
        "alter system set log_statement = 'all'; alter system set log_min_messages = 'debug1'";
    for statement in all.split("; ") {
        execute(&world.app(), statement).await;
    }
    execute(&world.app(), "select pg_reload_conf()").await;
    let plan = world.plan(MASKS).await;
    assert_eq!(plan.refusals, []);
    let shown = plan.render();
    for line in [
        "masked: public.person.email by email at example.com",
        // What refers to it is masked with it.
        "masked: public.message.sender by email at example.com",
        "masked: public.person.parent by email at example.com",
        "not all rows: public.audit, no rows",
        "not all rows: public.message, rows whose references are copied",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let told = Arc::new(Told::default());
    let mut project = world.project(MASKS).await;
    project.events = Events::new(None, vec![told.clone()]);
    let report = project.run(None, None).await.expect("a run");
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    execute(&world.app(), "checkpoint").await;
    execute(&world.prod(), "checkpoint").await;
    // It is there where it is looked for, and written as it is.
    assert!(!leaks(&world.source.data_dir()).is_empty());
    assert_eq!(leaks(&world.target.data_dir()), Vec::<String>::new());
    assert_eq!(leaks(world.folder.path()), Vec::<String>::new());
    assert!(!told.0.lock().expect("unpoisoned").contains(SECRET));
    assert!(
        told.0
            .lock()
            .expect("unpoisoned")
            .contains("bring the rows of the source")
    );
    // 7 and 77, and who descends from them: every fifth above.
    let gone = (1..=200).filter(|n| n % 5 == 2 && *n >= 7).count();
    let left = (200 - gone).to_string();
    assert_eq!(
        text(&world.app(), "select count(*) from public.person").await,
        left
    );
    let joined = "select count(*) from public.message m join public.person p on p.email = m.sender";
    let messages = text(&world.app(), "select count(*) from public.message").await;
    assert_eq!(text(&world.app(), joined).await, messages);
    assert_eq!(messages, (10 * (200 - gone)).to_string());
    let formats = "select bool_and(card ~ '^[a-z]{2}[0-9]-[a-z]{6}-[0-9]{4}$'
                               and note ~ '^note of [0-9]+$'
                               and phone is null and abs(born - '1990-01-01') between 1 and 30)
                     from public.person";
    assert_eq!(text(&world.app(), formats).await, "t");
    // The same again is masked as before.
    let sums = "select md5(string_agg(p::text, ',' order by email)) from public.person p";
    let before = text(&world.app(), sums).await;
    let report = world.run(MASKS).await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    assert_eq!(text(&world.app(), sums).await, before);
}

#[tokio::test]
async fn a_mask_that_fails_tells_nothing_of_the_row() {
    let world = World::new(PROD, "").await;
    for spec in [
        "mask.column = [{ column = \"public.person.note\", sql = \"note::int::text\" }]",
        "source.table = [{ table = \"public.person\", where = \"note::int > 0\" }]",
    ] {
        let told = Arc::new(Told::default());
        let mut project = world.project(spec).await;
        project.events = Events::new(None, vec![told.clone()]);
        let report = project.run(None, None).await.expect("a run");
        assert_eq!(report.ending, Ending::RolledBack, "{report:?}");
        let why = report.error.unwrap_or_default();
        assert!(
            why.contains("could not evaluate") && why.contains("22P02"),
            "{why}"
        );
        let told = told.0.lock().expect("unpoisoned").clone();
        assert!(!format!("{why}{told}").contains(SECRET), "{why}");
        assert_eq!(leaks(world.folder.path()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn masks_that_hide_too_little_are_refused() {
    let world = World::new(PROD, "").await;
    for (spec, complaint) in [
        (
            "mask.require = [\"*mail*\", \"born\"]",
            "public.person.born, public.person.email",
        ),
        (
            "mask.column = [{ column = \"public.nobody.x\", with = \"null\" }]",
            "matches no column",
        ),
        (
            "mask.column = [{ column = \"public.person.name\", with = \"null\" }]",
            "it is NOT NULL",
        ),
        (
            "mask.column = [{ column = \"public.person.note\", sql = \"nonsense(note)\" }]",
            "nonsense",
        ),
        (
            "mask.column = [{ column = \"public.message.sender\", sql = \"'x'\" }]",
            "public.message.sender refers to public.person.email",
        ),
        (
            "mask.salt = \"x\"\nmask.column = [{ column = \"public.message.id\", with = \"hash\" }]",
            "takes its values from a sequence",
        ),
        (
            "source.table = [{ table = \"public.a*z\", rows = false }]",
            "matches no table",
        ),
        (
            "source.table = [{ table = \"public.audit\", where = \"line\" }]",
            "boolean",
        ),
    ] {
        let refused = world.refusals(spec).await.join("\n");
        assert!(refused.contains(complaint), "{spec}: {refused}");
    }
    let object = "select lo_from_bytea(0, 'zq7-secret')";
    execute(&world.prod(), object).await;
    let phone = "mask.column = [{ column = \"public.person.phone\", with = \"null\" }]";
    let refused = world.refusals(phone).await.join("\n");
    assert!(
        refused.contains("1 large objects, which nothing masks"),
        "{refused}"
    );
    let refused = world
        .refusals(&format!("source.large_objects = false\n{phone}"))
        .await;
    assert_eq!(refused, Vec::<String>::new());
    let report = world
        .run(&format!("source.large_objects = false\n{phone}"))
        .await;
    assert_eq!(report.ending, Ending::Done, "{report:?}");
    let objects = "select count(*) from pg_largeobject_metadata";
    assert_eq!(text(&world.app(), objects).await, "0");
}

#[tokio::test]
async fn rows_of_an_extensions_table_stay_behind_if_asked_for() {
    // What CREATE EXTENSION would have made of a script with pg_extension_config_dump, as that of
    // pg_cron does with its jobs.
    let jobs = "create table public.job (id int);
        alter extension plpgsql add table public.job; set allow_system_table_mods = on;
        update pg_catalog.pg_extension set extconfig = array['public.job'::regclass::oid],
               extcondition = array[''] where extname = 'plpgsql';";
    let prod = format!("{jobs} insert into public.job values (1), (2)");
    let world = World::new(&prod, "").await;
    let template = world.target.endpoint("template1");
    execute(&template, jobs).await;
    let from = "provision.template = \"template1\"";
    let none = "source.table = [{ table = \"public.job\", rows = false }]";
    for (spec, left) in [("", "2"), (none, "0")] {
        let report = world.run(&format!("{from}\n{spec}")).await;
        assert_eq!(report.ending, Ending::Done, "{report:?}");
        let rows = text(&world.app(), "select count(*) from public.job").await;
        assert_eq!(rows, left, "{spec}");
    }
    let some = "source.table = [{ table = \"public.job\", where = \"id = 1\" }]";
    let refused = world.refusals(some).await;
    assert!(
        refused[0].contains("belongs to an extension"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn rows_that_are_chosen_prove_no_key() {
    // It is true for the orders that refer to a customer, and false for the customers: as random() may be.
    let changes = r#"where = '''current_query() like '%only "public"."' || 'orders"%' '''"#;
    let world = World::new(
        "create table public.customer (id int primary key);
         create table public.orders (id int primary key, customer int references public.customer);
         insert into public.customer values (1); insert into public.orders values (1, 1)",
        "",
    )
    .await;
    let spec = format!("[[source.table]]\ntable = \"public.customer\"\n{changes}");
    let report = world.run(&spec).await;
    let why = report.error.expect("a key that does not hold");
    assert_eq!(report.ending, Ending::RolledBack, "{why}");
    // https://www.postgresql.org/docs/current/errcodes-appendix.html: foreign_key_violation
    assert!(why.contains("23503"), "{why}");
}
