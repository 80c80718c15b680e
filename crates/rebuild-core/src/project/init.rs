//! `init`: a commented spec, written from a live database.

use std::fmt::Write as _;

use crate::command;
use crate::error::Result;
use crate::event::Ctx;
use crate::model::{Endpoint, Inventory};
use crate::postgres::{Session, application, inventory, migration_version};

/// A spec for the database at `endpoint`, with what was found there in its comments. Its URL is
/// written down without the password, unless `elsewhere` says that everything comes from the
/// environment; `store` is where backups go.
///
/// *Destroys:* nothing.
///
/// # Errors
/// The database could not be read.
pub async fn template(endpoint: &Endpoint, elsewhere: bool, store: &str) -> Result<String> {
    let session = Session::open(endpoint, &application(&Ctx::quiet())).await?;
    let found = inventory(&session).await?;
    let migration = migration_version(&session).await?;
    session.close().await;
    let url = if elsewhere {
        String::new()
    } else {
        let nobody = Endpoint {
            password: None,
            ..endpoint.clone()
        };
        command::url_with_tls(&nobody, "postgresql://")
    };
    Ok(text(&found, migration.as_ref(), &url, store))
}

fn text(found: &Inventory, migration: Option<&(String, String)>, url: &str, store: &str) -> String {
    let mut out = String::new();
    let database = &found.database;
    let rows: u64 = found.tables.iter().filter_map(|t| t.estimated_rows).sum();
    let _ = writeln!(
        out,
        "#:schema https://raw.githubusercontent.com/rebuild-db/rebuild/main/schema/rebuild.schema.json
# {:?} on PostgreSQL {}: {} tables, about {rows} rows, {}, owner {:?}.
# `rebuild plan` shows what a run would do, and changes nothing.
version = 1

[target]
# A URL or a conninfo string without the password: that comes from PGPASSWORD or a passfile.
url = {}
# Set to \"production\" to have the name typed before anything is done; \"rebuild:production\" in the
# comment of the database (COMMENT ON DATABASE) does the same, whatever is set here.
environment = \"development\"
# \"aside\" builds the new database beside the old one; \"in-place\" retires the old one first.
strategy = \"aside\"

[store]
# Backups and journals. Not on the database's own disk.
url = {}

[quiesce]
# New sessions can read and not write until the new database is in service.
read_only = true",
        database.identity.name,
        found.server.major(),
        found.tables.len(),
        crate::plan::bytes(database.bytes),
        database.owner,
        toml_text(url),
        toml_text(store),
    );
    sessions(&mut out, found);
    schema(&mut out, migration);
    let _ = write!(
        out,
        "
[[verify]]
kind = \"content\"

[[verify]]
kind = \"sequences\"

[[verify]]
kind = \"foreign_keys\"

[[verify]]
kind = \"indexes\"

[retention]
# The old database stays under another name this long.
keep_retired = \"7d\"
keep_last = 3
"
    );
    out
}

fn sessions(out: &mut String, found: &Inventory) {
    if found.sessions.is_empty() {
        let _ = writeln!(out, "# Nobody was connected.\nend_sessions = false");
        return;
    }
    let _ = writeln!(
        out,
        "# Sessions that were there; those that match may be ended."
    );
    let mut applications: Vec<&str> = Vec::new();
    for session in &found.sessions {
        let _ = writeln!(
            out,
            "#   {:?} as {:?} from {}",
            session.application, session.role, session.client
        );
        if !applications.contains(&session.application.as_str()) {
            applications.push(&session.application);
        }
    }
    let list: Vec<String> = applications.iter().map(|a| toml_text(a)).collect();
    let _ = writeln!(
        out,
        "end_sessions = {{ applications = [{}] }}",
        list.join(", ")
    );
}

fn schema(out: &mut String, migration: Option<&(String, String)>) {
    let _ = writeln!(out, "\n[schema]");
    match migration {
        Some((tool, version)) => {
            let _ = writeln!(
                out,
                "# {tool} is at {version}. To make the schema with it instead:
#   source = \"command\"
#   [schema.command]
#   argv = [\"...\"]
#   url_variable = \"DATABASE_URL\""
            );
        }
        None => {
            let _ = writeln!(
                out,
                "# To make the schema from files instead:
#   source = \"files\"
#   files = [\"schema/*.sql\"]
#   order = \"numbered\""
            );
        }
    }
    let _ = writeln!(out, "source = \"backup\"");
}

/// `text` as a TOML string. `${` would be taken for a variable.
fn toml_text(text: &str) -> String {
    toml::Value::String(text.replace("${", "$${")).to_string()
}
