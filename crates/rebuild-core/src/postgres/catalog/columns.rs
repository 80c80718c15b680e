//! Columns of tables, views and composite types.

use super::fragments::{Scope, grants, name_in, sorted};

pub(super) fn queries(scope: &Scope) -> Vec<String> {
    vec![columns(scope)]
}

/// Servers since the minor releases of November 2026 (such as 15.20) keep a number of their own among the options of
/// a column, another one in each database.
const OPTIONS: &str =
    "array(select o from pg_catalog.unnest(a.attoptions) o where o not like 'pg\\_attver=%')";

/// A column of a composite type is called an attribute, as in `ALTER TYPE`.
fn columns(scope: &Scope) -> String {
    format!(
        "select c.tableoid, c.oid, a.attnum::int4,
                case c.relkind when 'c' then 'attribute' else 'column' end,
                {name} || '.' || pg_catalog.quote_ident(a.attname),
                n.nspname::text, c.relname::text, a.attname::text,
                array['type', pg_catalog.format_type(a.atttypid, a.atttypmod),
                      'not null', case when a.attnotnull then 'true' end,
                      case a.attgenerated when 's' then 'generated stored'
                           when 'v' then 'generated virtual' else 'default' end,
                      pg_catalog.pg_get_expr(f.adbin, f.adrelid),
                      'identity', case a.attidentity when 'a' then 'always' when 'd' then 'by default' end,
                      'collation', case when a.attcollation <> y.typcollation
                                        then a.attcollation::regcollation::text end,
                      'storage', case when a.attstorage <> y.typstorage then
                          case a.attstorage when 'p' then 'plain' when 'e' then 'external'
                               when 'm' then 'main' else 'extended' end end,
                      'compression', {compression},
                      'statistics', case when a.attstattarget >= 0 then a.attstattarget::text end,
                      'options', {options},
                      'foreign options', {foreign},
                      'inherited', case when a.attinhcount > 0 and c.relispartition then 'from the partitioned table'
                                        when a.attinhcount > 0 and a.attislocal then 'and declared'
                                        when a.attinhcount > 0 then 'only' end,
                      'grants', {grants}]
           from pg_catalog.pg_attribute a
           join pg_catalog.pg_class c on c.oid = a.attrelid
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           join pg_catalog.pg_type y on y.oid = a.atttypid
           left join pg_catalog.pg_attrdef f on f.adrelid = a.attrelid and f.adnum = a.attnum
          where a.attnum > 0 and not a.attisdropped
            and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c') and c.relpersistence <> 't'
            and {covered}
            and not exists (select from pg_catalog.pg_depend e
                             where e.deptype = 'e' and e.objsubid = 0
                               and (e.classid = c.tableoid and e.objid = c.oid
                                    or c.relkind = 'c' and e.classid = 'pg_catalog.pg_type'::regclass
                                       and e.objid = c.reltype))",
        name = name_in("n.nspname", "c.relname"),
        compression = scope.since(
            14,
            "case a.attcompression when 'p' then 'pglz' when 'l' then 'lz4' end"
        ),
        options = sorted(OPTIONS),
        foreign = sorted("a.attfdwoptions"),
        grants = grants("a.attacl", 'c', "c.relowner"),
        covered = scope.covers("n.nspname"),
    )
}
