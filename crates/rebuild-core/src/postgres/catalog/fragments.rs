//! Pieces of SQL that many of the catalog queries share.

use crate::error::Result;
use crate::postgres::literal;

/// The schema of the history of applied schema files: what was done to a database, and not what
/// it is like.
const HISTORY_SCHEMA: &str = "rebuild";

/// What a snapshot covers, and the version of the server that is asked.
pub(super) struct Scope {
    /// The server's major version.
    pub(super) major: u32,
    left_out: String,
}

impl Scope {
    /// Everything but the server's own schemas and the history's.
    pub(super) fn new(major: u32) -> Result<Self> {
        Ok(Self {
            major,
            left_out: format!(
                "{}, {}",
                literal("information_schema")?,
                literal(HISTORY_SCHEMA)?
            ),
        })
    }

    /// True for schemas that the snapshot covers; `name` is an expression. Names that start with
    /// `pg_` are the server's (<https://www.postgresql.org/docs/current/ddl-schemas.html>).
    pub(super) fn covers(&self, name: &str) -> String {
        format!("({name} !~ '^pg_' and {name} not in ({}))", self.left_out)
    }

    /// `expression` from major version `first` on; null before, when the catalog lacked it.
    pub(super) fn since(&self, first: u32, expression: &str) -> String {
        if self.major >= first {
            expression.to_owned()
        } else {
            "null::text".to_owned()
        }
    }
}

/// True unless an extension made the object, or it comes with another object (an array type with
/// its element type, a constructor with its range type).
pub(super) fn independent(catalog: &str, oid: &str) -> String {
    format!(
        "not exists (select from pg_catalog.pg_depend gone
                      where gone.classid = 'pg_catalog.{catalog}'::regclass and gone.objid = {oid}
                        and gone.objsubid = 0 and gone.deptype in ('e', 'i'))"
    )
}

/// The grants in `acl`, one line for each grantee, sorted; null when they are the default. Who
/// granted is left out. `letter` is the object's kind as `acldefault` knows it.
pub(super) fn grants(acl: &str, letter: char, owner: &str) -> String {
    format!(
        "case when {acl} is not null then nullif({}, {}) end",
        exploded(acl, owner),
        exploded(
            &format!("pg_catalog.acldefault('{letter}', {owner})"),
            owner
        )
    )
}

/// The grants in `acl`, default or not; an empty list reads `none`. The owner is called so, lest
/// another owner be another grant too.
pub(super) fn exploded(acl: &str, owner: &str) -> String {
    format!(
        "coalesce((
            select pg_catalog.string_agg(each.grantee || '=' || each.rights, E'\\n' order by each.grantee)
              from (select case x.grantee when 0 then 'PUBLIC' when {owner} then 'the owner'
                                else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) end as grantee,
                           pg_catalog.string_agg(x.privilege_type
                               || case when x.is_grantable then '*' else '' end, ',' order by x.privilege_type, x.is_grantable) as rights
                      from (select distinct grantee, privilege_type, is_grantable
                              from pg_catalog.aclexplode({acl})) x
                     group by x.grantee) each), 'none')"
    )
}

/// A text array of options as one sorted line; null when there are none.
pub(super) fn sorted(options: &str) -> String {
    format!(
        "(select pg_catalog.string_agg(o.o, ', ' order by o.o) from pg_catalog.unnest({options}) as o (o))"
    )
}

/// A name in a schema, quoted where it must be.
pub(super) fn name_in(schema: &str, name: &str) -> String {
    format!("(pg_catalog.quote_ident({schema}) || '.' || pg_catalog.quote_ident({name}))")
}
