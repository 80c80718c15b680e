//! What a database is, to be compared with what it was.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rebuild_core::model::Endpoint;
use rebuild_core::postgres::{Session, ident};
use rebuild_core::testing;

use super::{Target, World};

/// The sequence that a preserved row gets its key from. Sequences do not go back with a transaction
/// that is cut off.
const PERSONS: &str = "public.person_id_seq";

/// Rows and their hash, by table.
pub(super) type Tables = BTreeMap<String, (i64, String)>;

/// A database in full: everything but its oid and its name.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    /// As pg_dump writes it.
    pub schema: String,
    /// What its tables hold.
    pub tables: Tables,
    /// Sequences and the values they stand at.
    sequences: BTreeMap<String, Option<i64>>,
    /// Owner, limits, comment and settings of the database itself.
    database: Vec<String>,
}

impl State {
    /// What a target is now.
    pub async fn of(target: &Target<'_>) -> Self {
        Self::of_database(target.world, &target.name).await
    }

    /// What the database `name` is now.
    pub async fn of_database(world: &World, name: &str) -> Self {
        let tools = testing::client_bin_dir(world.cluster());
        Self::at(&tools, &world.cluster().endpoint(name)).await
    }

    /// What the database at `endpoint` is now, with PostgreSQL's programs in `tools`.
    pub async fn at(tools: &Path, endpoint: &Endpoint) -> Self {
        let session = Session::open(endpoint, "a test").await;
        let session = session.expect("a session");
        let schema = testing::dump_by(tools, endpoint, &["--schema-only"]).await;
        let state = Self {
            schema: schema.expect("the schema"),
            tables: tables(&session).await,
            sequences: sequences(&session).await,
            database: properties(&session).await,
        };
        session.close().await;
        state
    }

    /// Fails the test, naming the part, unless both are the same.
    #[track_caller]
    pub fn expect(&self, expected: &Self, when: &str) {
        self.expect_within(expected, 0, when);
    }

    /// The same, where sequences may have skipped so many values.
    #[track_caller]
    pub fn expect_within(&self, expected: &Self, skipped: i64, when: &str) {
        assert_eq!(self.tables, expected.tables, "rows {when}");
        let sequences = |state: &Self| state.sequences.keys().cloned().collect::<Vec<_>>();
        assert_eq!(sequences(self), sequences(expected), "sequences {when}");
        for (name, value) in &expected.sequences {
            let now = self.sequences[name];
            let lost = now.zip(*value).map_or(0, |(now, value)| now - value);
            let drawn = if name == PERSONS { 8 } else { 0 };
            let may_be_lost = 0..=skipped.max(drawn);
            assert!(
                now.is_some() == value.is_some() && may_be_lost.contains(&lost),
                "sequence {name} {when}: {now:?}, not {value:?}"
            );
        }
        assert_eq!(self.database, expected.database, "the database {when}");
        assert_eq!(self.schema, expected.schema, "schema {when}");
    }
}

impl State {
    /// The tables that lack rows of `expected`, or have others, with the numbers of rows.
    pub fn rows_lost(&self, expected: &Self) -> Vec<String> {
        let mut lost = Vec::new();
        for (name, (rows, hash)) in &expected.tables {
            let now = self.tables.get(name);
            if *rows > 0 && now.is_none_or(|(_, now)| now != hash) {
                let now = now.map_or(0, |(rows, _)| *rows);
                lost.push(format!("{name} has {now} of {rows} rows, or others"));
            }
        }
        lost
    }
}

async fn tables(session: &Session) -> Tables {
    let names = session
        .query(
            "select n.nspname::text, c.relname::text from pg_class c
               join pg_namespace n on n.oid = c.relnamespace
              where c.relkind in ('r', 'm') and n.nspname <> 'information_schema'
                and n.nspname !~ '^pg_'",
            &[],
        )
        .await
        .expect("the tables");
    let mut tables = Tables::new();
    for row in names {
        let (schema, table): (&str, &str) = (row.get(0), row.get(1));
        let rows = match schema {
            // When each file was applied, and in how many attempts, is not the state.
            "rebuild" => {
                "(select part, path, checksum, statements, state from rebuild.schema_history)"
                    .to_owned()
            }
            // Who outlives a refresh may get a key of the new database's sequence, and what a killed
            // attempt took from that is gone.
            "public" if table == "person" => {
                "(select case when email like '%.net' then 0 else id end, to_jsonb(p) - 'id'
                    from public.person p)"
                    .to_owned()
            }
            _ => format!("{}.{}", ident(schema).unwrap(), ident(table).unwrap()),
        };
        let sql = format!(
            "select count(*), coalesce(md5(string_agg(t::text, E'\\n' order by t::text collate \"C\")), '')
               from {rows} t"
        );
        let row = session.query_one(&sql, &[]).await.expect("the rows");
        tables.insert(format!("{schema}.{table}"), (row.get(0), row.get(1)));
    }
    tables
}

async fn sequences(session: &Session) -> BTreeMap<String, Option<i64>> {
    let sql = "select schemaname || '.' || sequencename, last_value from pg_sequences
                where schemaname <> 'rebuild'";
    let rows = session.query(sql, &[]).await.expect("the sequences");
    rows.iter().map(|r| (r.get(0), r.get(1))).collect()
}

async fn properties(session: &Session) -> Vec<String> {
    let rows = session
        .query(
            "select format('owner %s, limit %s, open %s, acl %s, comment %s, encoding %s, %s, %s',
                           datdba::regrole, datconnlimit, datallowconn, datacl,
                           shobj_description(oid, 'pg_database'), encoding, datcollate, datctype)
               from pg_database where datname = current_database()
             union all
             select format('set for %s: %s', setrole::regrole, s.setting)
               from pg_db_role_setting, unnest(setconfig) s (setting)
              where setdatabase = (select oid from pg_database where datname = current_database())
              order by 1",
            &[],
        )
        .await
        .expect("the database's properties");
    rows.iter().map(|r| r.get(0)).collect()
}

impl World {
    /// Waits until the sessions of every run are gone, which takes the server a moment after
    /// their process ended, and makes sure that they left no lock.
    pub async fn settle(&self) {
        let admin = self.admin().await;
        let of_runs = "select pid from pg_stat_activity where application_name like 'rebuild/%'";
        loop {
            let sessions = admin.query(of_runs, &[]).await.expect("the sessions");
            if sessions.is_empty() {
                break;
            }
            for session in sessions {
                session_ended(session.get(0)).await;
            }
        }
        let left = "select (select count(*) from pg_locks where locktype = 'advisory')
                           + (select count(*) from pg_prepared_xacts)";
        let left: i64 = admin.query_one(left, &[]).await.expect("an answer").get(0);
        assert_eq!(left, 0, "locks and prepared transactions of the run");
    }

    /// Ends every session of a run, as a server does that gives up on its client.
    pub async fn end_sessions_of_runs(&self) {
        let of_runs = "select pid, pg_terminate_backend(pid) from pg_stat_activity
                        where application_name like 'rebuild/%'";
        let ended = self.admin().await.query(of_runs, &[]).await;
        for session in ended.expect("the sessions") {
            session_ended(session.get(0)).await;
        }
    }

    /// Every database of the server, all that is said of it and set for it.
    pub async fn catalog(&self) -> Vec<String> {
        let rows = self
            .admin()
            .await
            .query(
                "select format('%s %s %s %s %s %s %s %s', oid, datname, datdba, datallowconn,
                               datconnlimit, datistemplate, datacl, shobj_description(oid, 'pg_database'))
                   from pg_database
                 union all
                 select format('%s %s %s', setdatabase, setrole, setconfig) from pg_db_role_setting
                 union all select format('role %s', rolname) from pg_roles
                  order by 1",
                &[],
            )
            .await
            .expect("the catalog");
        rows.iter().map(|r| r.get(0)).collect()
    }
}

/// Waits until the server's process of a session has ended, with all that the session held.
pub(super) async fn session_ended(pid: i32) {
    let ended = testing::process_ended(pid, Duration::from_secs(20)).await;
    ended.expect("the session ends");
}
