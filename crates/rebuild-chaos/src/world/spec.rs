//! The specs of targets.

use std::path::Path;

/// Old and new stand side by side.
pub const ASIDE: &str = "aside";

/// The old one is retired first.
pub const IN_PLACE: &str = "in-place";

/// The database that a refresh takes its rows from.
pub const PRODUCTION: &str = "production";

/// A rebuild from schema files, with the rows of the target's own backup.
pub(super) fn restore(strategy: &str, tools: &Path) -> String {
    format!(
        r#"version = 1

[target]
url = ""
environment = "test"
strategy = "{strategy}"

[store]
url = "store"

[backup]
tools = {tools:?}
csv = true

[quiesce]
read_only = true
end_sessions = true

[schema]
source = "files"
files = ["schema/*.sql"]
order = "numbered"

[[verify]]
kind = "content"

[[verify]]
kind = "column"
table = "public.gpu"
column = "memory_gib"
type = "integer"

[[verify]]
kind = "sequences"

[[verify]]
kind = "indexes"

[[verify]]
kind = "query"
sql = "select count(*) from public.team_usage"
expect = 17

[retention]
keep_retired = "24h"
keep_last = 1
"#
    )
}

/// Masked rows of [`PRODUCTION`], and what the target alone has.
pub(super) fn refresh(tools: &Path) -> String {
    format!(
        r#"version = 1
target.url = ""
store.url = "store"
backup.tools = {tools:?}
quiesce.end_sessions = true

[source]
url = "postgresql:///{PRODUCTION}"

[mask]
salt = "pepper"
column = [{{ column = "public.person.team", with = "keep-format" }}]

[[source.table]]
table = "public.person"
where = "id <= 200"

[[preserve]]
table = "public.person"
where = "email like '%.net'"
key = ["email"]
"#
    )
}

/// A rebuild from schema files, which a program fills.
pub(super) fn load(tools: &Path) -> String {
    format!(
        r#"version = 1

[target]
url = ""
environment = "test"

[store]
url = "store"

[backup]
tools = {tools:?}

[quiesce]
end_sessions = true

[schema]
source = "files"
files = ["schema/*.sql"]
order = "numbered"

[restore]
source = "none"

[[load]]
name = "hosts"
command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", "{LOAD}"]
timeout = "20s"

[[verify]]
kind = "query"
sql = "select count(*) from public.host"
expect = 40
"#
    )
}

/// What the program does.
pub(super) const LOAD: &str =
    "insert into public.host (name, rack) select 'host-' || n, n % 4 from generate_series(1, 40) n";
