//! Schemas, extensions, default privileges, and what is noted about objects of any kind.

use super::fragments::{Scope, exploded, grants, independent};

pub(super) fn queries(scope: &Scope) -> Vec<String> {
    vec![schemas(scope), extensions(), default_privileges(scope)]
}

/// Comments, security labels, and what is to go with an extension; of user objects, of the
/// schema `public` and of extensions.
pub(super) const NOTES: &str = "
    select d.classoid, d.objoid, d.objsubid, 'comment', d.description
      from pg_catalog.pg_description d
     where d.objoid >= 16384
        or d.classoid in ('pg_catalog.pg_namespace'::regclass, 'pg_catalog.pg_extension'::regclass)
    union all
    select l.classoid, l.objoid, l.objsubid, 'security label of ' || l.provider, l.label
      from pg_catalog.pg_seclabel l
    union all
    select d.classid, d.objid, d.objsubid, 'depends on extension',
           pg_catalog.string_agg(e.extname, ', ' order by e.extname)
      from pg_catalog.pg_depend d
      join pg_catalog.pg_extension e on e.oid = d.refobjid
     where d.refclassid = 'pg_catalog.pg_extension'::regclass and d.deptype = 'x'
     group by 1, 2, 3, 4";

fn schemas(scope: &Scope) -> String {
    format!(
        "select n.tableoid, n.oid, 0, 'schema', pg_catalog.quote_ident(n.nspname),
                null::text, null::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(n.nspowner)::text, 'grants', {grants}]
           from pg_catalog.pg_namespace n
          where {covered} and {own}",
        grants = grants("n.nspacl", 'n', "n.nspowner"),
        covered = scope.covers("n.nspname"),
        own = independent("pg_namespace", "n.oid"),
    )
}

/// Grants on an extension's objects count where they differ from what the extension itself set
/// (<https://www.postgresql.org/docs/current/catalog-pg-init-privs.html>).
fn extensions() -> String {
    let rights = [
        ("pg_proc", "proacl", "proowner", 'f', "true"),
        (
            "pg_class",
            "relacl",
            "relowner",
            'r',
            "o.relkind in ('r', 'p', 'v', 'm', 'f')",
        ),
        ("pg_class", "relacl", "relowner", 's', "o.relkind = 'S'"),
        ("pg_type", "typacl", "typowner", 'T', "true"),
        ("pg_namespace", "nspacl", "nspowner", 'n', "true"),
        ("pg_language", "lanacl", "lanowner", 'l', "true"),
        ("pg_foreign_data_wrapper", "fdwacl", "fdwowner", 'F', "true"),
    ]
    .map(|(catalog, acl, owner, letter, which)| {
        let now = exploded(
            &format!("coalesce(o.{acl}, pg_catalog.acldefault('{letter}', o.{owner}))"),
            &format!("o.{owner}"),
        );
        let initial = exploded(
            &format!(
                "coalesce((select p.initprivs from pg_catalog.pg_init_privs p
                        where p.classoid = o.tableoid and p.objoid = o.oid and p.objsubid = 0),
                      pg_catalog.acldefault('{letter}', o.{owner}))"
            ),
            &format!("o.{owner}"),
        );
        format!(
            "select o.tableoid as class, o.oid, {now} as now, {initial} as initial
               from pg_catalog.{catalog} o where o.{acl} is not null and {which}"
        )
    })
    .join(" union all ");
    format!(
        "with rights as materialized ({rights})
         select e.tableoid, e.oid, 0, 'extension', pg_catalog.quote_ident(e.extname),
                null::text, null::text, null::text,
                array['version', e.extversion, 'schema', n.nspname::text, 'grants', (
                    select pg_catalog.string_agg(i.type || ' ' || i.identity || ': ' || r.now, E'\\n'
                                                 order by i.type, i.identity)
                      from rights r
                      join pg_catalog.pg_depend d on d.classid = r.class and d.objid = r.oid
                       and d.refclassid = e.tableoid and d.refobjid = e.oid and d.deptype = 'e',
                      pg_catalog.pg_identify_object(r.class, r.oid, 0) i
                     where r.now <> r.initial)]
           from pg_catalog.pg_extension e
           join pg_catalog.pg_namespace n on n.oid = e.extnamespace"
    )
}

fn default_privileges(scope: &Scope) -> String {
    format!(
        "select d.tableoid, d.oid, 0, 'default privileges',
                'of ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(d.defaclrole))
                || coalesce(' in ' || pg_catalog.quote_ident(n.nspname), '')
                || case d.defaclobjtype when 'r' then ' on tables' when 'S' then ' on sequences'
                        when 'f' then ' on functions' when 'T' then ' on types'
                        when 'n' then ' on schemas' else ' on large objects' end,
                null::text, null::text, null::text,
                array['grants', {grants}]
           from pg_catalog.pg_default_acl d
           left join pg_catalog.pg_namespace n on n.oid = d.defaclnamespace
          where n.oid is null or {covered}",
        grants = exploded("d.defaclacl", "d.defaclrole"),
        covered = scope.covers("n.nspname"),
    )
}
