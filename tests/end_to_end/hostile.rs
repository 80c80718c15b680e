//! A database whose owner means harm: names that break out of quotes, functions that stand in for
//! the server's own.

use std::fs;

use rebuild_core::testing::client_bin_dir;

use crate::world::{ASIDE, State, Target, World};

/// A name that shells, SQL, connection strings and terminals each read in their own way.
const ODD: &str = "it's \"odd\" $(touch pwned) `touch pwned` \\ = ;é%s";

/// Tables and columns of that kind, among them one that would clear the screen and one that would
/// look like another line.
const ODD_NAMES: &str = "
    create schema \"s'; drop table public.person; --\";
    create unlogged table \"s'; drop table public.person; --\".\"\x1b[2J\x1b]0;owned\x07\"
        (\"a\"\"b\" int primary key, \"$1\\\" text default E'\\\\' || chr(10));
    insert into \"s'; drop table public.person; --\".\"\x1b[2J\x1b]0;owned\x07\" values (1, '\\.');
    create unlogged table public.\"x\nok    everything\" (\"\u{202e}y\" int);
    create view public.\"{0} %s $(touch pwned)\" as select 1 as \"?column?\";
    create sequence public.\"q'\"\"q\";";

/// In front of the catalog: everything that a careless query would call.
const SHADOWS: &str = r#"
    create schema evil;
    create function evil.called() returns bool language plpgsql
        as 'begin raise exception ''a shadow was called''; end';
    do $do$
    declare one text; other text;
    begin
        foreach one in array array['text', 'name', 'oid', 'int4', 'int8', 'bool', '"char"'] loop
            execute format('create function evil.op(%1$s, %1$s) returns bool language sql
                            as ''select evil.called()''', one);
            foreach other in array array['=', '<>', '<', '>', '<=', '>=', '~', '!~', '~~', '@@'] loop
                execute format('create operator evil.%2$s (function = evil.op, leftarg = %1$s,
                                rightarg = %1$s)', one, other);
            end loop;
        end loop;
        foreach one in array array['md5(text)', 'lower(text)', 'length(text)', 'quote_ident(text)',
            'quote_literal(text)', 'current_database()', 'version()', 'now()', 'pg_backend_pid()',
            'current_setting(text)', 'set_config(text, text, bool)', 'pg_relation_size(regclass)',
            'pg_get_userbyid(oid)', 'to_regclass(text)', 'has_table_privilege(text, text)',
            'txid_current()', 'pg_is_in_recovery()', 'array_to_string(text[], text)'] loop
            execute format('create function evil.%s returns bool language sql
                            as ''select evil.called()''', one);
        end loop;
        execute 'create view evil.pg_class as select evil.called() as oid';
        execute 'create view evil.pg_database as select evil.called() as oid';
        execute 'create view evil.pg_roles as select evil.called() as oid';
        execute 'create domain evil.regclass as pg_catalog.text check (evil.called())';
        execute 'create domain evil.oid as pg_catalog.text check (evil.called())';
    end $do$;
    do $do$ begin
        execute pg_catalog.format('alter database %I set search_path = evil, public, pg_catalog',
                                  pg_catalog.current_database());
    end $do$;"#;

fn spec(target: &Target<'_>, more: &str) {
    let text = format!(
        "version = 1\ntarget.url = \"\"\nstore.url = \"store\"\nbackup.tools = {:?}\n\
         quiesce.end_sessions = true\n[[verify]]\nkind = \"content\"\n\
         [[verify]]\nkind = \"sequences\"\n[[verify]]\nkind = \"indexes\"\n{more}",
        client_bin_dir(target.world.cluster())
    );
    fs::write(target.spec_file(), text).expect("the spec");
}

#[tokio::test]
async fn what_stands_in_for_the_catalog_is_never_called() {
    let world = World::start().await;
    let target = world.target("app", ASIDE).await;
    spec(&target, "");
    target.sql(SHADOWS).await;
    let old = target.oid().await;
    for args in [
        &["status"][..],
        &["plan"],
        &["backup"],
        &["backups", "check"],
        &["restore", "--into", "beside"],
        &["run"],
        &["verify"],
        &["rollback"],
    ] {
        let run = target.rebuild(args).await.expect(0);
        assert!(!run.stderr.contains("shadow"), "{args:?}: {}", run.stderr);
    }
    assert_eq!(target.oid().await, old, "rolled back");
    let log = fs::read_to_string(world.cluster().log_file()).expect("the log");
    assert!(!log.contains("a shadow was called"), "{log}");
    // They would have been: who is careless meets them.
    let careless = target.session().await;
    let reset = careless.batch_execute("reset search_path; select 'a' = 'a'::text");
    let met = reset.await.expect_err("a shadow");
    let said = met.as_db_error().expect("the server's").message();
    assert_eq!(said, "a shadow was called");
    careless.close().await;
    target.drop_databases().await;
}

#[tokio::test]
async fn odd_names_are_names_everywhere() {
    let world = World::start().await;
    let target = world.target(ODD, ASIDE).await;
    spec(
        &target,
        "[[after]]\nname = \"tell\"\ncommand = [\"sh\", \"-c\", \"printf %s \\\"$PGDATABASE\\\" > told\"]\n\
         [hooks]\non_success = [\"sh\", \"-c\", \"printf %s \\\"$REBUILD_TARGET\\\" > hooked\"]\n",
    );
    target.sql(ODD_NAMES).await;
    let before = State::of(&target).await;
    let old = target.oid().await;
    for args in [&["plan"][..], &["status"], &["run"], &["verify"]] {
        let run = target.rebuild(args).await.expect(0);
        for text in [&run.stdout, &run.stderr] {
            let steers = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
            assert!(!text.contains(steers), "{args:?}: {text:?}");
            assert!(!text.contains("\nok    everything"), "{args:?}: {text}");
        }
    }
    assert_ne!(target.oid().await, old, "another database has the name");
    State::of(&target).await.expect(&before, "rebuilt");
    for file in ["told", "hooked"] {
        let told = fs::read_to_string(target.folder.join(file)).expect(file);
        assert_eq!(told, ODD);
    }
    for folder in [&target.folder, &target.folder.join("store")] {
        assert!(!folder.join("pwned").exists(), "a name was run");
    }
    target.drop_databases().await;
}
