//! Tables, views, sequences, indexes and statistics.

use super::fragments::{Scope, grants, independent, name_in, sorted};

pub(super) fn queries(scope: &Scope) -> Vec<String> {
    vec![
        relations(scope),
        sequences(scope),
        indexes(scope),
        statistics(scope),
    ]
}

fn relations(scope: &Scope) -> String {
    format!(
        "select c.tableoid, c.oid, 0,
                case c.relkind when 'v' then 'view' when 'm' then 'materialized view'
                               when 'f' then 'foreign table' else 'table' end,
                {name}, n.nspname::text, c.relname::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(c.relowner)::text, 'grants', {grants},
                      'options', {options}, 'toast options', {toast},
                      'column order', {order},
                      {storage},
                      {inheritance},
                      {security},
                      'definition', case when c.relkind in ('v', 'm') then pg_catalog.pg_get_viewdef(c.oid) end]
           from pg_catalog.pg_class c
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           left join pg_catalog.pg_class t on t.oid = c.reltoastrelid
          where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't'
            and {covered} and {own}",
        name = name_in("n.nspname", "c.relname"),
        grants = grants("c.relacl", 'r', "c.relowner"),
        options = sorted("c.reloptions"),
        toast = sorted("t.reloptions"),
        order = COLUMN_ORDER,
        storage = STORAGE,
        inheritance = INHERITANCE,
        security = ROW_SECURITY,
        covered = scope.covers("n.nspname"),
        own = independent("pg_class", "c.oid"),
    )
}

const COLUMN_ORDER: &str = "(
    select pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), E'\\n' order by a.attnum)
      from pg_catalog.pg_attribute a
     where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)";

const STORAGE: &str = "
    'persistence', case c.relpersistence when 'u' then 'unlogged' end,
    'access method', (select m.amname::text from pg_catalog.pg_am m where m.oid = c.relam),
    'tablespace', (select s.spcname::text from pg_catalog.pg_tablespace s where s.oid = c.reltablespace),
    'of type', (select y.oid::regtype::text from pg_catalog.pg_type y where y.oid = c.reloftype),
    'server', (select pg_catalog.quote_ident(v.srvname) || coalesce(' ' || (
                          select pg_catalog.string_agg(o.o, ', ' order by o.o)
                            from pg_catalog.unnest(f.ftoptions) as o (o)), '')
                 from pg_catalog.pg_foreign_table f
                 join pg_catalog.pg_foreign_server v on v.oid = f.ftserver
                where f.ftrelid = c.oid)";

const INHERITANCE: &str = "
    'partition key', case when c.relkind = 'p' then pg_catalog.pg_get_partkeydef(c.oid) end,
    'partition bound', pg_catalog.pg_get_expr(c.relpartbound, c.oid),
    'inherits', (select pg_catalog.string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno)
                   from pg_catalog.pg_inherits i where i.inhrelid = c.oid)";

const ROW_SECURITY: &str = "
    'row security', case when c.relrowsecurity and c.relforcerowsecurity then 'enabled, forced'
                         when c.relrowsecurity then 'enabled'
                         when c.relforcerowsecurity then 'forced' end,
    'replica identity', case c.relreplident when 'f' then 'full' when 'n' then 'nothing'
        when 'i' then (select x.indexrelid::regclass::text from pg_catalog.pg_index x
                        where x.indrelid = c.oid and x.indisreplident) end";

/// A sequence that a column owns goes with the column's table.
fn sequences(scope: &Scope) -> String {
    format!(
        "select c.tableoid, c.oid, 0, 'sequence', {name},
                coalesce(tn.nspname, n.nspname)::text, coalesce(t.relname, c.relname)::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(c.relowner)::text, 'grants', {grants},
                      'definition', pg_catalog.format('as %s start %s increment %s minimum %s maximum %s cache %s%s',
                          pg_catalog.format_type(s.seqtypid, null), s.seqstart, s.seqincrement, s.seqmin,
                          s.seqmax, s.seqcache, case when s.seqcycle then ' cycle' end),
                      'persistence', case c.relpersistence when 'u' then 'unlogged' end,
                      'owned by', case d.deptype when 'i' then 'identity of ' end
                          || t.oid::regclass::text || '.' || pg_catalog.quote_ident(a.attname)]
           from pg_catalog.pg_sequence s
           join pg_catalog.pg_class c on c.oid = s.seqrelid
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           left join pg_catalog.pg_depend d on d.classid = c.tableoid and d.objid = c.oid
                 and d.refclassid = c.tableoid and d.refobjsubid > 0 and d.deptype in ('a', 'i')
           left join pg_catalog.pg_class t on t.oid = d.refobjid
           left join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
           left join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
          where c.relpersistence <> 't' and {covered}
            and not exists (select from pg_catalog.pg_depend e where e.classid = c.tableoid
                                and e.objid = c.oid and e.deptype = 'e')",
        name = name_in("n.nspname", "c.relname"),
        grants = grants("c.relacl", 's', "c.relowner"),
        covered = scope.covers("n.nspname"),
    )
}

fn indexes(scope: &Scope) -> String {
    format!(
        "select c.tableoid, c.oid, 0, 'index', {name}, tn.nspname::text, t.relname::text, null::text,
                array['definition', pg_catalog.pg_get_indexdef(x.indexrelid),
                      'valid', case when not x.indisvalid then 'false' end,
                      'ready', case when not x.indisready then 'false' end,
                      'clustered', case when x.indisclustered then 'true' end,
                      'tablespace', (select s.spcname::text from pg_catalog.pg_tablespace s
                                      where s.oid = c.reltablespace),
                      'part of', (select i.inhparent::regclass::text from pg_catalog.pg_inherits i
                                   where i.inhrelid = c.oid),
                      'statistics', (select pg_catalog.string_agg(a.attnum || '=' || a.attstattarget, ', '
                                                                  order by a.attnum)
                                       from pg_catalog.pg_attribute a
                                      where a.attrelid = c.oid and a.attstattarget >= 0)]
           from pg_catalog.pg_index x
           join pg_catalog.pg_class c on c.oid = x.indexrelid
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           join pg_catalog.pg_class t on t.oid = x.indrelid
           join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
          where c.relpersistence <> 't' and {covered} and {own}",
        name = name_in("n.nspname", "c.relname"),
        covered = scope.covers("n.nspname"),
        own = independent("pg_class", "t.oid"),
    )
}

fn statistics(scope: &Scope) -> String {
    format!(
        "select s.tableoid, s.oid, 0, 'statistics', {name}, tn.nspname::text, t.relname::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(s.stxowner)::text,
                      'definition', pg_catalog.pg_get_statisticsobjdef(s.oid),
                      'target', nullif(s.stxstattarget, -1)::text]
           from pg_catalog.pg_statistic_ext s
           join pg_catalog.pg_namespace n on n.oid = s.stxnamespace
           join pg_catalog.pg_class t on t.oid = s.stxrelid
           join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
          where {covered} and {own}",
        name = name_in("n.nspname", "s.stxname"),
        covered = scope.covers("n.nspname"),
        own = independent("pg_statistic_ext", "s.oid"),
    )
}
