//! The spec of a target.

use std::path::Path;

/// Old and new stand side by side.
pub(crate) const ASIDE: &str = "aside";

/// The old one is retired first.
pub(crate) const IN_PLACE: &str = "in-place";

pub(super) fn text(strategy: &str, tools: &Path) -> String {
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
