//! The roles that a database needs.

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use crate::error::Result;
use crate::postgres::{Session, ident, literal, server_error};

/// A role that owns something in the database or was granted something there, or that such a role
/// is a member of. Passwords are not kept: reading them takes a superuser, and a file with them
/// would be a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleEntry {
    /// Its name.
    pub name: String,
    /// `SUPERUSER`.
    pub superuser: bool,
    /// `INHERIT`.
    pub inherit: bool,
    /// `CREATEROLE`.
    pub create_role: bool,
    /// `CREATEDB`.
    pub create_db: bool,
    /// `LOGIN`.
    pub login: bool,
    /// `REPLICATION`.
    pub replication: bool,
    /// `BYPASSRLS`.
    pub bypass_rls: bool,
    /// `CONNECTION LIMIT`; -1 is none.
    pub connection_limit: i32,
    /// `VALID UNTIL`, in UTC.
    pub valid_until: Option<String>,
    /// The comment.
    pub comment: Option<String>,
    /// The roles it is a member of.
    pub member_of: Vec<Membership>,
}

/// A membership in a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The role.
    pub role: String,
    /// `WITH ADMIN OPTION`.
    pub admin: bool,
    /// `INHERIT`, where it differs from the member's own (16 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherit: Option<bool>,
    /// `SET FALSE` (16 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<bool>,
}

/// Ownership by the first superuser leaves no trace in `pg_shdepend`, so owners are read from the
/// catalogs as well. The server's own roles (`pg_…`) are everywhere.
const ROLES: &str = "
    with recursive
    here as (select oid, datdba from pg_catalog.pg_database
              where datname = pg_catalog.current_database()),
    direct (role) as (
        select datdba from here
        union select s.refobjid from pg_catalog.pg_shdepend s, here
         where s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
           and (s.dbid = here.oid
                or s.classid = 'pg_catalog.pg_database'::pg_catalog.regclass and s.objid = here.oid)
        union select s.setrole from pg_catalog.pg_db_role_setting s, here
         where s.setdatabase = here.oid and s.setrole <> 0
        union select relowner from pg_catalog.pg_class where oid >= 16384
        union select proowner from pg_catalog.pg_proc where oid >= 16384
        union select typowner from pg_catalog.pg_type where oid >= 16384
        union select nspowner from pg_catalog.pg_namespace where oid >= 16384),
    needed (role) as (
        select role from direct
        union select m.roleid from pg_catalog.pg_auth_members m join needed n on n.role = m.member)
    select r.rolname::text, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb,
           r.rolcanlogin, r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil::text,
           pg_catalog.shobj_description(r.oid, 'pg_authid')
      from needed n join pg_catalog.pg_roles r on r.oid = n.role
     where r.rolname !~ '^pg_'
     order by r.rolname";

/// A role can be given another more than once, by several grantors (16 and later).
fn memberships_sql(server_major: u32) -> String {
    let (inherit, set) = if server_major >= 16 {
        (
            "case when m.inherit_option <> u.rolinherit then m.inherit_option end",
            "case when not m.set_option then false end",
        )
    } else {
        ("null::pg_catalog.bool", "null::pg_catalog.bool")
    };
    format!(
        "select distinct u.rolname::text, r.rolname::text, m.admin_option, {inherit}, {set}
           from pg_catalog.pg_auth_members m
           join pg_catalog.pg_roles r on r.oid = m.roleid
           join pg_catalog.pg_roles u on u.oid = m.member
          where u.rolname = any ($1)
          order by 1, 2, 3"
    )
}

/// The names of the roles that own something in the session's database or were granted something
/// there, or that such a role is a member of.
///
/// # Errors
/// The server could not be asked.
pub async fn roles_needed(session: &Session) -> Result<Vec<String>> {
    let rows = session
        .query(ROLES, &[])
        .await
        .map_err(|e| server_error("could not read the roles of the database", e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Reads the roles that the session's database needs.
///
/// # Errors
/// The server could not be asked.
pub(super) async fn read_roles(session: &Session, server_major: u32) -> Result<Vec<RoleEntry>> {
    let what = "could not read the roles of the database";
    let rows = session
        .query(ROLES, &[])
        .await
        .map_err(|e| server_error(what, e))?;
    let mut roles: Vec<RoleEntry> = rows.iter().map(role).collect();
    let names: Vec<String> = roles.iter().map(|r| r.name.clone()).collect();
    let rows = session
        .query(&memberships_sql(server_major), &[&names])
        .await
        .map_err(|e| server_error(what, e))?;
    for row in &rows {
        let member: &str = row.get(0);
        for role in roles.iter_mut().filter(|r| r.name == member) {
            role.member_of.push(Membership {
                role: row.get(1),
                admin: row.get(2),
                inherit: row.get(3),
                set: row.get(4),
            });
        }
    }
    Ok(roles)
}

fn role(row: &Row) -> RoleEntry {
    RoleEntry {
        name: row.get(0),
        superuser: row.get(1),
        inherit: row.get(2),
        create_role: row.get(3),
        create_db: row.get(4),
        login: row.get(5),
        replication: row.get(6),
        bypass_rls: row.get(7),
        connection_limit: row.get(8),
        valid_until: row.get(9),
        comment: row.get(10),
        member_of: Vec::new(),
    }
}

/// A psql script that makes the roles that are missing. A role that exists is left as it is, but
/// gets the memberships it lacks.
///
/// # Errors
/// A name cannot be quoted.
pub(super) fn roles_sql(roles: &[RoleEntry]) -> Result<String> {
    let mut sql = String::from(
        "-- Roles without passwords. Roles that exist already are left as they are.\n\
         set client_encoding = 'UTF8';\n",
    );
    for role in roles {
        let create = create_role(role)?;
        sql.push_str(&format!(
            "select {} where not exists (select from pg_catalog.pg_roles where rolname = {}) \
             \\gexec\n",
            literal(&create)?,
            literal(&role.name)?
        ));
    }
    for role in roles {
        for membership in &role.member_of {
            sql.push_str(&grant(&role.name, membership)?);
        }
    }
    Ok(sql)
}

/// Makes the roles that the server lacks, and gives every one the memberships it lacks.
///
/// # Errors
/// A name cannot be quoted, or the server said no.
pub(super) async fn make_roles(session: &Session, roles: &[RoleEntry]) -> Result<()> {
    let run = async |name: &str, sql: &str| {
        let made = session.batch_execute(sql).await;
        made.map_err(|e| server_error(format!("could not make role {name:?}"), e))
    };
    let there = "select from pg_catalog.pg_roles where rolname = $1";
    for role in roles {
        let found = session.query(there, &[&role.name]).await;
        let found = found.map_err(|e| server_error("could not look for a role", e))?;
        if found.is_empty() {
            run(&role.name, &create_role(role)?).await?;
        }
    }
    for role in roles {
        for membership in &role.member_of {
            run(&role.name, &grant(&role.name, membership)?).await?;
        }
    }
    Ok(())
}

fn create_role(role: &RoleEntry) -> Result<String> {
    let mut sql = format!("create role {} with", ident(&role.name)?);
    for (has, attribute) in [
        (role.superuser, "superuser"),
        (role.inherit, "inherit"),
        (role.create_role, "createrole"),
        (role.create_db, "createdb"),
        (role.login, "login"),
        (role.replication, "replication"),
        (role.bypass_rls, "bypassrls"),
    ] {
        sql.push_str(if has { " " } else { " no" });
        sql.push_str(attribute);
    }
    sql.push_str(&format!(" connection limit {}", role.connection_limit));
    if let Some(until) = &role.valid_until {
        sql.push_str(&format!(" valid until {}", literal(until)?));
    }
    if let Some(comment) = &role.comment {
        sql.push_str(&format!(
            "; comment on role {} is {}",
            ident(&role.name)?,
            literal(comment)?
        ));
    }
    Ok(sql)
}

fn grant(member: &str, membership: &Membership) -> Result<String> {
    let mut options = Vec::new();
    if membership.admin {
        options.push("admin option".to_owned());
    }
    if membership.inherit.is_some() || membership.set.is_some() {
        // Only servers that have these options know this form.
        options = vec![format!("admin {}", membership.admin)];
    }
    for (name, value) in [("inherit", membership.inherit), ("set", membership.set)] {
        options.extend(value.map(|value| format!("{name} {value}")));
    }
    let with = if options.is_empty() {
        String::new()
    } else {
        format!(" with {}", options.join(", "))
    };
    Ok(format!(
        "grant {} to {}{with};\n",
        ident(&membership.role)?,
        ident(member)?
    ))
}
