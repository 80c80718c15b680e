//! Settings that belong to a database, with or without a role.

use crate::error::{Error, Result};
use crate::postgres::{Session, ident, literal, server_error};

/// One `ALTER DATABASE … SET` or `ALTER ROLE … IN DATABASE … SET`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::postgres) struct Setting {
    role: Option<String>,
    name: String,
    value: String,
    /// The value is as the server stores it: for some settings a list of quoted names.
    stored: bool,
}

/// Settings whose value is a list of names, each quoted where it must be. One string constant
/// for the whole list would be taken for a single name (`variable_is_guc_list_quote` in
/// PostgreSQL's own dump program has the same list; extensions cannot add to it).
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

impl Setting {
    /// A setting as `pg_db_role_setting` has it: `name=value`.
    ///
    /// # Errors
    /// There is no `=` in it.
    pub(in crate::postgres) fn stored(role: Option<String>, text: &str) -> Result<Self> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Error::corrupt(format!("{text:?} is not a setting and its value")))?;
        Ok(Self {
            role,
            name: name.to_owned(),
            value: value.to_owned(),
            stored: true,
        })
    }

    /// A setting of the database as somebody wrote it: a list's names by commas.
    pub(super) fn given(name: &str, value: &str) -> Self {
        Self {
            role: None,
            name: name.to_owned(),
            value: value.to_owned(),
            stored: false,
        }
    }

    /// True if it is the setting of that name, which is not case sensitive.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn sql(&self, database: &str) -> Result<String> {
        self.sql_on(&ident(database)?)
    }

    /// The statement, for a database whose name is quoted already.
    ///
    /// # Errors
    /// A name cannot be quoted.
    pub(in crate::postgres) fn sql_on(&self, database: &str) -> Result<String> {
        let name = self
            .name
            .split('.')
            .map(ident)
            .collect::<Result<Vec<_>>>()?
            .join(".");
        let value = if LISTS.iter().any(|list| self.is(list)) {
            let names = names_of(&self.value);
            names
                .iter()
                .map(|n| literal(n))
                .collect::<Result<Vec<_>>>()?
                .join(", ")
        } else {
            literal(&self.value)?
        };
        Ok(match &self.role {
            Some(role) => format!(
                "alter role {} in database {database} set {name} to {value}",
                ident(role)?
            ),
            None => format!("alter database {database} set {name} to {value}"),
        })
    }

    fn describe(&self) -> String {
        match &self.role {
            Some(role) => format!("{} for role {role:?}", self.name),
            None => self.name.clone(),
        }
    }
}

/// The names of a list: parted by commas, those in double quotes taken as they are.
fn names_of(list: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut quoted = false;
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        let last = names.len() - 1;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                names[last].push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(String::new()),
            c if c.is_whitespace() && !quoted => {}
            c => names[last].push(c),
        }
    }
    names
}

/// The names of those settings that the role may not give to a database. Any role may set what
/// is settable in a session; the rest, and settings that the server does not know yet, need a
/// superuser or (15 and later) `GRANT SET ON PARAMETER`
/// (<https://www.postgresql.org/docs/current/sql-alterdatabase.html>).
async fn forbidden(session: &Session, major: u32, settings: &[Setting]) -> Result<Vec<String>> {
    let names: Vec<&str> = settings.iter().map(|s| s.name.as_str()).collect();
    let granted = if major >= 15 {
        "pg_catalog.has_parameter_privilege(w.name, 'SET')"
    } else {
        "false"
    };
    let rows = session
        .query(
            &format!(
                "select distinct w.name
                   from pg_catalog.unnest($1::text[]) as w (name)
                   join pg_catalog.pg_roles r on r.rolname = current_user and not r.rolsuper
                   left join pg_catalog.pg_settings s
                          on pg_catalog.lower(s.name) = pg_catalog.lower(w.name)
                  where (s.name is null or s.context in ('superuser', 'superuser-backend'))
                    and not {granted}
                  order by 1"
            ),
            &[&names],
        )
        .await
        .map_err(|e| server_error("could not look at the settings of the new database", e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Refuses settings that the role may not give to a database, before anything is made.
///
/// # Errors
/// A refusal that names them.
pub(super) async fn refuse_forbidden(
    session: &Session,
    major: u32,
    settings: &[Setting],
) -> Result<()> {
    let forbidden = forbidden(session, major, settings).await?;
    if forbidden.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!(
        "only a superuser may give a database these settings: {}",
        forbidden.join(", ")
    ))
    .hint("connect as a superuser, or have one GRANT SET ON PARAMETER … (server 15 and later)"))
}

/// Those settings of the database itself that the role may give it.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn permitted(
    session: &Session,
    major: u32,
    settings: &[Setting],
) -> Result<Vec<Setting>> {
    let forbidden = forbidden(session, major, settings).await?;
    Ok(settings
        .iter()
        .filter(|s| s.role.is_none() && !forbidden.contains(&s.name))
        .cloned()
        .collect())
}

/// Sets all of them on `database`.
///
/// # Errors
/// The server refused one, which is named.
pub(super) async fn apply(session: &Session, database: &str, settings: &[Setting]) -> Result<()> {
    for setting in settings {
        session
            .batch_execute(&setting.sql(database)?)
            .await
            .map_err(|e| {
                server_error(
                    format!("could not set {} in {database:?}", setting.describe()),
                    e,
                )
            })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_taken_apart_and_other_values_are_not() {
        let sql = |text: &str| {
            Setting::stored(None, text)
                .and_then(|s| s.sql("db"))
                .expect("fine")
        };
        assert_eq!(
            sql("search_path=\"$user\", \"a, \"\"b\", public"),
            "alter database \"db\" set \"search_path\" to '$user', 'a, \"b', 'public'"
        );
        assert_eq!(
            sql("search_path=\"\""),
            "alter database \"db\" set \"search_path\" to ''"
        );
        assert_eq!(
            sql("app.greeting=a, b=c"),
            "alter database \"db\" set \"app\".\"greeting\" to 'a, b=c'"
        );
        assert!(Setting::stored(None, "nothing").is_err());
    }
}
