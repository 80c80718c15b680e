//! The database itself, as a psql script.

use crate::error::Result;
use crate::model::DatabaseFacts;
use crate::postgres::provision::Setting;
use crate::postgres::{Session, ident, literal, server_error};

/// The name of the database in the script: psql puts the value of its variable there.
const NAME: &str = ":\"database\"";

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
        sql.push_str(&Setting::stored(role.clone(), setting)?.sql_on(NAME)?);
        sql.push_str(";\n");
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
