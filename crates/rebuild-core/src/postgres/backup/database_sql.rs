//! The database itself, as a psql script.

use crate::error::Result;
use crate::model::DatabaseFacts;
use crate::postgres::{Session, ident, literal, server_error};

/// The name of the database in the script: psql puts the value of its variable there.
const NAME: &str = ":\"database\"";

/// Settings whose value is a list of names, each quoted where it must be; one string for the
/// whole list would be taken for one name.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// A script that creates the database under the name in psql's variable `database`, with its
/// locale, settings, rights and comment.
///
/// # Errors
/// A name cannot be quoted, or the server could not be asked about the rights.
pub(super) async fn database_sql(session: &Session, facts: &DatabaseFacts) -> Result<String> {
    let mut sql = String::from(
        "-- The database: its locale, settings, rights and comment.\n\
         set client_encoding = 'UTF8';\n",
    );
    sql.push_str(&create(facts)?);
    if let Some(comment) = &facts.comment {
        sql.push_str(&format!(
            "comment on database {NAME} is {};\n",
            literal(comment)?
        ));
    }
    for (role, setting) in &facts.settings {
        if let Some((name, value)) = setting.split_once('=') {
            sql.push_str(&set(role.as_deref(), name, value)?);
        }
    }
    if facts.acl.is_some() {
        sql.push_str(&rights(session, &facts.owner).await?);
    }
    Ok(sql)
}

fn create(facts: &DatabaseFacts) -> Result<String> {
    let mut sql = format!(
        "create database {NAME} with template template0 owner {} encoding {} lc_collate {} \
         lc_ctype {}",
        ident(&facts.owner)?,
        literal(&facts.encoding)?,
        literal(&facts.collate)?,
        literal(&facts.ctype)?
    );
    if facts.locale_provider != "libc" {
        sql.push_str(&format!(" locale_provider {}", facts.locale_provider));
        if let Some(locale) = &facts.locale {
            sql.push_str(&format!(
                " {}_locale {}",
                facts.locale_provider,
                literal(locale)?
            ));
        }
        if let Some(rules) = &facts.icu_rules {
            sql.push_str(&format!(" icu_rules {}", literal(rules)?));
        }
    }
    if facts.connection_limit != -1 {
        sql.push_str(&format!(" connection limit {}", facts.connection_limit));
    }
    if facts.tablespace != "pg_default" {
        sql.push_str(&format!(" tablespace {}", ident(&facts.tablespace)?));
    }
    sql.push_str(";\n");
    Ok(sql)
}

fn set(role: Option<&str>, name: &str, value: &str) -> Result<String> {
    let name = name
        .split('.')
        .map(ident)
        .collect::<Result<Vec<_>>>()?
        .join(".");
    let bare = name.trim_matches('"').to_ascii_lowercase();
    let value = if LISTS.contains(&bare.as_str()) {
        let names: Vec<String> = names_of(value)
            .iter()
            .map(|n| literal(n))
            .collect::<Result<_>>()?;
        names.join(", ")
    } else {
        literal(value)?
    };
    Ok(match role {
        Some(role) => format!(
            "alter role {} in database {NAME} set {name} to {value};\n",
            ident(role)?
        ),
        None => format!("alter database {NAME} set {name} to {value};\n"),
    })
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

/// What everybody may do by default is taken away first, then each right is given as it was. A
/// right that came from somebody else than the owner comes from the owner now.
async fn rights(session: &Session, owner: &str) -> Result<String> {
    let rows = session
        .query(
            "select r.rolname::text, x.grantee = 0, x.privilege_type,
                    pg_catalog.bool_or(x.is_grantable)
               from pg_catalog.pg_database d
              cross join pg_catalog.aclexplode(d.datacl) as x
               left join pg_catalog.pg_roles r on r.oid = x.grantee
              where d.datname = pg_catalog.current_database()
              group by 1, 2, 3 order by 1 nulls first, 3",
            &[],
        )
        .await
        .map_err(|e| server_error("could not read the rights on the database", e))?;
    let mut sql = format!(
        "revoke all on database {NAME} from public;\nrevoke all on database {NAME} from {};\n",
        ident(owner)?
    );
    for row in &rows {
        let role = match row.get::<_, Option<&str>>(0) {
            Some(role) => ident(role)?,
            None if row.get(1) => "public".to_owned(),
            // The role is gone.
            None => continue,
        };
        sql.push_str(&format!(
            "grant {} on database {NAME} to {role}{};\n",
            row.get::<_, &str>(2),
            if row.get(3) { " with grant option" } else { "" }
        ));
    }
    Ok(sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_keep_their_values() {
        let sql = |text: &str| {
            let (name, value) = text.split_once('=').expect("a setting");
            set(None, name, value).expect("fine")
        };
        assert_eq!(
            sql("search_path=\"$user\", \"a, \"\"b\", public"),
            "alter database :\"database\" set \"search_path\" to '$user', 'a, \"b', 'public';\n"
        );
        assert_eq!(
            sql("app.greeting=a, b=c"),
            "alter database :\"database\" set \"app\".\"greeting\" to 'a, b=c';\n"
        );
    }
}
