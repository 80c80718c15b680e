//! Owners and privileges of the target, for objects that came from the source without any.
//!
//! An object that the target had under the same name gets the owner and the privileges that it
//! had there. Any other gets the owner of the database, and the privileges that its default
//! privileges give (<https://www.postgresql.org/docs/current/sql-alterdefaultprivileges.html>).

use std::collections::BTreeMap;

use tokio_postgres::Row;

use crate::error::Result;
use crate::event::Ctx;
use crate::postgres::rows::RowOptions;
use crate::postgres::{Session, ident, server_error};

/// Statements that are sent together.
const TOGETHER: usize = 100;

/// Every schema, relation, column with privileges of its own, routine and type that is not an
/// extension's: what it is, its name as SQL, its schema, its owner, its privileges one by one
/// (null where they are the default), whether its owner can be changed by itself, and whether
/// this role may give it to that owner. Names are quoted by the server, as it wants them back.
const OBJECTS: &str = "
    with found (class, objid, kind, name, schema, owner, acl, alone, default_kind) as (
        select 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid, 'schema',
               pg_catalog.quote_ident(nspname), nspname, nspowner, nspacl, true, 'n'
          from pg_catalog.pg_namespace
         where nspname !~ '^pg_' and nspname <> 'information_schema'
        union all
        select 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid,
               case c.relkind when 'v' then 'view' when 'm' then 'materialized view'
                              when 'S' then 'sequence' else 'table' end,
               pg_catalog.format('%I.%I', n.nspname, c.relname), n.nspname, c.relowner, c.relacl,
               c.relkind <> 'S' or not exists (
                   select from pg_catalog.pg_depend d
                    where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                      and d.objid = c.oid and d.deptype in ('a', 'i') and d.refobjsubid > 0),
               case c.relkind when 'S' then 'S' else 'r' end
          from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f') and c.relpersistence <> 't'
        union all
        select 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 'routine',
               pg_catalog.format('%I.%I(%s)', n.nspname, p.proname,
                                 pg_catalog.pg_get_function_identity_arguments(p.oid)),
               n.nspname, p.proowner, p.proacl, true, 'f'
          from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        union all
        select 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, 'type',
               pg_catalog.format('%I.%I', n.nspname, t.typname), n.nspname, t.typowner, t.typacl,
               true, 'T'
          from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
         where t.typtype in ('d', 'e', 'r') or t.typtype = 'c' and exists (
                   select from pg_catalog.pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
    select kind, name, schema::pg_catalog.text, null::pg_catalog.text, o.rolname::pg_catalog.text,
           acl::pg_catalog.text[] is not null, alone, default_kind,
           pg_catalog.pg_has_role(o.oid, 'member'),
           grantee, privilege, grantable
      from found join pg_catalog.pg_roles o on o.oid = owner
      left join lateral (
          select case g.grantee when 0 then null else pg_catalog.pg_get_userbyid(g.grantee) end::pg_catalog.text,
                 g.privilege_type, g.is_grantable
            from pg_catalog.aclexplode(acl) g) each (grantee, privilege, grantable) on true
     where schema !~ '^pg_' and schema <> 'information_schema'
       and not exists (select from pg_catalog.pg_depend e
                        where e.classid = class and e.objid = found.objid and e.deptype = 'e')
    union all
    select 'table', pg_catalog.format('%I.%I', n.nspname, c.relname), n.nspname::pg_catalog.text,
           a.attname::pg_catalog.text, o.rolname::pg_catalog.text, true, false, 'r', true,
           case g.grantee when 0 then null else pg_catalog.pg_get_userbyid(g.grantee) end::pg_catalog.text,
           g.privilege_type, g.is_grantable
      from pg_catalog.pg_attribute a
      join pg_catalog.pg_class c on c.oid = a.attrelid
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      join pg_catalog.pg_roles o on o.oid = c.relowner
      cross join lateral pg_catalog.aclexplode(a.attacl) g
     where a.attnum > 0 and not a.attisdropped and n.nspname !~ '^pg_'
       and n.nspname <> 'information_schema'";

/// What is granted by default in the future: by which role, in which schema (null for all), on
/// what, and what.
const DEFAULTS: &str = "
    select pg_catalog.pg_get_userbyid(d.defaclrole)::pg_catalog.text, n.nspname::pg_catalog.text,
           d.defaclobjtype::pg_catalog.text,
           case g.grantee when 0 then null else pg_catalog.pg_get_userbyid(g.grantee) end::pg_catalog.text,
           g.privilege_type, g.is_grantable
      from pg_catalog.pg_default_acl d
      left join pg_catalog.pg_namespace n on n.oid = d.defaclnamespace
      left join lateral pg_catalog.aclexplode(d.defaclacl) g on true
     order by 1, 2 nulls first, 3";

/// A privilege of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    /// `None` is PUBLIC.
    grantee: Option<String>,
    privilege: String,
    grantable: bool,
}

/// What an object is called: its kind, its name as SQL, and the column, if it is one.
type Key = (String, String, Option<String>);

#[derive(Clone, Debug)]
struct Object {
    schema: String,
    owner: String,
    /// `None` where they are the default.
    grants: Option<Vec<Grant>>,
    alone: bool,
    default_kind: String,
    may: bool,
}

/// Default privileges: those of a role for a kind of object, in a schema or everywhere.
type Defaults = BTreeMap<(String, Option<String>, String), Vec<Grant>>;

/// Gives the objects of `new` the owners and privileges of those in `old`; `owner` owns the
/// database.
///
/// *Repeats:* does it again.
///
/// # Errors
/// The server said no.
pub(super) async fn follow(
    ctx: &Ctx,
    old: &Session,
    new: &Session,
    owner: &str,
    options: &RowOptions,
) -> Result<()> {
    let (before, now) = (objects(old).await?, objects(new).await?);
    let defaults = defaults(old).await?;
    let mut statements = Vec::new();
    for (key, object) in &now {
        let was = before.get(key);
        let wanted = was.map_or(owner, |was| was.owner.as_str());
        if object.alone && object.owner != wanted {
            if was.is_none_or(|was| was.may) {
                let (kind, name, _) = key;
                statements.push(format!("alter {kind} {name} owner to {}", ident(wanted)?));
            } else {
                let owner = &object.owner;
                ctx.events.warn(format!(
                    "{} stays with {owner}: this role may not give it to {wanted}",
                    key.1
                ));
            }
        }
    }
    for (key, object) in &now {
        let grants = match before.get(key) {
            Some(was) => was.grants.clone(),
            None => by_default(&defaults, owner, object),
        };
        if let Some(grants) = grants {
            let owner = before.get(key).map_or(owner, |was| was.owner.as_str());
            statements.extend(granted(key, owner, &grants)?);
        }
    }
    // Columns have no entry where nothing is granted yet.
    for (key, was) in before.iter().filter(|(key, _)| key.2.is_some()) {
        let table = (key.0.clone(), key.1.clone(), None);
        if now.contains_key(&table) && has_column(new, key).await? {
            statements.extend(granted(
                key,
                &was.owner,
                was.grants.as_deref().unwrap_or(&[]),
            )?);
        }
    }
    let schemas: Vec<&str> = now.values().map(|o| o.schema.as_str()).collect();
    for (of, grants) in &defaults {
        if of.1.as_ref().is_none_or(|s| schemas.contains(&s.as_str())) {
            statements.extend(granted_by_default(of, grants)?);
        }
    }
    for group in statements.chunks(TOGETHER) {
        ctx.check_stop("giving owners and privileges")?;
        let sql = group.join(";\n");
        let run = async {
            let done = new.batch_execute(&sql).await;
            done.map_err(|e| server_error("could not give owners and privileges of the target", e))
        };
        ctx.within(options.statement_limit, "giving owners and privileges", run)
            .await?;
    }
    Ok(())
}

async fn has_column(session: &Session, (_, table, column): &Key) -> Result<bool> {
    let sql = "select exists (select from pg_catalog.pg_attribute
                where attrelid = $1::pg_catalog.text::pg_catalog.regclass
                  and attname = $2::pg_catalog.text and attnum > 0 and not attisdropped)";
    let row = session.query_one(sql, &[table, column]).await;
    row.map(|row| row.get(0))
        .map_err(|e| server_error("could not look for a column", e))
}

async fn objects(session: &Session) -> Result<BTreeMap<Key, Object>> {
    let rows = session.query(OBJECTS, &[]).await;
    let rows = rows.map_err(|e| server_error("could not read owners and privileges", e))?;
    let mut objects: BTreeMap<Key, Object> = BTreeMap::new();
    for row in &rows {
        let key = (row.get(0), row.get(1), row.get(3));
        let granted: bool = row.get(5);
        let object = objects.entry(key).or_insert_with(|| Object {
            schema: row.get(2),
            owner: row.get(4),
            grants: granted.then(Vec::new),
            alone: row.get(6),
            default_kind: row.get(7),
            may: row.get(8),
        });
        if let (Some(grants), Some(grant)) = (&mut object.grants, grant(row, 9)) {
            grants.push(grant);
        }
    }
    Ok(objects)
}

async fn defaults(session: &Session) -> Result<Defaults> {
    let rows = session.query(DEFAULTS, &[]).await;
    let rows = rows.map_err(|e| server_error("could not read the default privileges", e))?;
    let mut defaults = Defaults::new();
    for row in &rows {
        let of = (row.get(0), row.get(1), row.get(2));
        defaults.entry(of).or_default().extend(grant(row, 3));
    }
    Ok(defaults)
}

/// The privilege in three columns of `row`, if there is one.
fn grant(row: &Row, at: usize) -> Option<Grant> {
    Some(Grant {
        privilege: row.get::<_, Option<String>>(at + 1)?,
        grantee: row.get(at),
        grantable: row.get(at + 2),
    })
}

/// What `owner`'s default privileges would have granted on `object`.
fn by_default(defaults: &Defaults, owner: &str, object: &Object) -> Option<Vec<Grant>> {
    let of = |schema: Option<&String>| {
        let key = (
            owner.to_owned(),
            schema.cloned(),
            object.default_kind.clone(),
        );
        defaults.get(&key).cloned()
    };
    match (of(None), of(Some(&object.schema))) {
        (None, None) => None,
        (Some(everywhere), None) => Some(everywhere),
        // Besides what a new object has without them.
        (everywhere, Some(here)) => {
            let usual = everywhere.unwrap_or_else(|| usual(owner, &object.default_kind));
            Some(usual.into_iter().chain(here).collect())
        }
    }
}

/// What a new object grants to begin with
/// (<https://www.postgresql.org/docs/current/ddl-priv.html>).
fn usual(owner: &str, kind: &str) -> Vec<Grant> {
    let grant = |grantee: Option<&str>, privilege: &str| Grant {
        grantee: grantee.map(ToOwned::to_owned),
        privilege: privilege.to_owned(),
        grantable: false,
    };
    let mut usual = vec![grant(Some(owner), "ALL")];
    match kind {
        "f" => usual.push(grant(None, "EXECUTE")),
        "T" => usual.push(grant(None, "USAGE")),
        _ => {}
    }
    usual
}

/// The statements that grant exactly `grants` on an object of `owner`.
fn granted((kind, name, column): &Key, owner: &str, grants: &[Grant]) -> Result<Vec<String>> {
    let word = match kind.as_str() {
        "view" | "materialized view" => "table",
        kind => kind,
    };
    let mut statements = Vec::new();
    if column.is_none() {
        let owner = ident(owner)?;
        statements.push(format!("revoke all on {word} {name} from public, {owner}"));
    }
    for grant in grants {
        let of = match column {
            Some(column) => format!(" ({})", ident(column)?),
            None => String::new(),
        };
        statements.push(format!(
            "grant {}{of} on {word} {name} to {}",
            grant.privilege,
            grantee(grant)?
        ));
    }
    Ok(statements)
}

fn granted_by_default(
    (role, schema, kind): &(String, Option<String>, String),
    grants: &[Grant],
) -> Result<Vec<String>> {
    let objects = match kind.as_str() {
        "r" => "tables",
        "S" => "sequences",
        "f" => "routines",
        "T" => "types",
        "n" => "schemas",
        // A kind that a later version has.
        _ => return Ok(Vec::new()),
    };
    let role = ident(role)?;
    let mut head = format!("alter default privileges for role {role}");
    let mut statements = Vec::new();
    match schema {
        Some(schema) => head = format!("{head} in schema {}", ident(schema)?),
        // These stand in the place of the usual ones, those of a schema come on top.
        None => statements.push(format!(
            "{head} revoke all on {objects} from public, {role}"
        )),
    }
    for grant in grants {
        statements.push(format!(
            "{head} grant {} on {objects} to {}",
            grant.privilege,
            grantee(grant)?
        ));
    }
    Ok(statements)
}

fn grantee(grant: &Grant) -> Result<String> {
    let name = match &grant.grantee {
        Some(name) => ident(name)?,
        None => "public".to_owned(),
    };
    let option = if grant.grantable {
        " with grant option"
    } else {
        ""
    };
    Ok(format!("{name}{option}"))
}
