//! Types of every sort, and collations.

use super::fragments::{Scope, grants, independent, name_in};

pub(super) fn queries(scope: &Scope) -> Vec<String> {
    vec![types(scope), collations(scope)]
}

/// A row type counts where it was made by `CREATE TYPE`, not where a table brought it along.
fn types(scope: &Scope) -> String {
    format!(
        "select t.tableoid, t.oid, 0, case t.typtype when 'd' then 'domain' else 'type' end, {name},
                null::text, null::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(t.typowner)::text, 'grants', {grants},
                      {enumeration}, {domain}, {range},
                      'attributes', {attributes},
                      'base type', case when t.typtype = 'b' then {base} end,
                      'shell', case when not t.typisdefined then 'true' end]
           from pg_catalog.pg_type t
           join pg_catalog.pg_namespace n on n.oid = t.typnamespace
           left join pg_catalog.pg_range r on r.rngtypid = t.oid
           left join pg_catalog.pg_class c on c.oid = t.typrelid
          where (t.typrelid = 0 or c.relkind = 'c') and {covered} and {own}",
        name = name_in("n.nspname", "t.typname"),
        grants = grants("t.typacl", 'T', "t.typowner"),
        enumeration = ENUMERATION,
        domain = DOMAIN,
        range = range(scope),
        attributes = ATTRIBUTES,
        base = BASE,
        covered = scope.covers("n.nspname"),
        own = independent("pg_type", "t.oid"),
    )
}

const ENUMERATION: &str = "
    'labels', (select pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', ' order by e.enumsortorder)
                 from pg_catalog.pg_enum e where e.enumtypid = t.oid)";

const DOMAIN: &str = "
    'over', case when t.typtype = 'd' then pg_catalog.format_type(t.typbasetype, t.typtypmod) end,
    'not null', case when t.typnotnull then 'true' end,
    'default', case when t.typtype = 'd' then coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), t.typdefault) end,
    'collation', (select t.typcollation::regcollation::text from pg_catalog.pg_type y
                   where t.typtype = 'd' and y.oid = t.typbasetype and t.typcollation <> y.typcollation)";

fn range(scope: &Scope) -> String {
    format!(
        "'range', (select pg_catalog.format('of %s collation %s operator class %s canonical %s difference %s',
                          pg_catalog.format_type(r.rngsubtype, null), r.rngcollation::regcollation,
                          (select pg_catalog.quote_ident(o.opcname) from pg_catalog.pg_opclass o
                            where o.oid = r.rngsubopc),
                          r.rngcanonical, r.rngsubdiff) where r.rngtypid is not null),
         'multirange', {}",
        scope.since(14, "(select r.rngmultitypid::regtype::text where r.rngtypid is not null)")
    )
}

const ATTRIBUTES: &str = "(
    select pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' order by a.attnum)
      from pg_catalog.pg_attribute a
     where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped)";

const BASE: &str = "pg_catalog.format(
    'input %s output %s receive %s send %s typmod %s %s analyze %s length %s by value %s align %s'
    ' storage %s category %s preferred %s delimiter %s element %s default %s collatable %s',
    t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout, t.typanalyze,
    t.typlen, t.typbyval, t.typalign, t.typstorage, t.typcategory, t.typispreferred, t.typdelim,
    pg_catalog.format_type(nullif(t.typelem, 0), null), t.typdefault, t.typcollation <> 0)";

/// The version of a collation is left out: it tells of the system that it was made on. The
/// locale's column was renamed with 17, and rules came with 16
/// (<https://www.postgresql.org/docs/current/catalog-pg-collation.html>).
fn collations(scope: &Scope) -> String {
    let locale = match scope.major {
        ..15 => "null::text",
        15 | 16 => "c.colliculocale",
        _ => "c.colllocale",
    };
    format!(
        "select c.tableoid, c.oid, 0, 'collation', {name}, null::text, null::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(c.collowner)::text,
                      'provider', c.collprovider::text, 'collate', c.collcollate::text,
                      'ctype', c.collctype::text, 'locale', {locale}, 'rules', {rules},
                      'deterministic', case when not c.collisdeterministic then 'false' end]
           from pg_catalog.pg_collation c
           join pg_catalog.pg_namespace n on n.oid = c.collnamespace
          where {covered} and {own}",
        name = name_in("n.nspname", "c.collname"),
        rules = scope.since(16, "c.collicurules"),
        covered = scope.covers("n.nspname"),
        own = independent("pg_collation", "c.oid"),
    )
}
