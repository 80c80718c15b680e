//! Functions, procedures, aggregates, operators and what is made of them.

use super::fragments::{Scope, grants, independent, name_in};

pub(super) fn queries(scope: &Scope) -> Vec<String> {
    vec![
        routines(scope),
        operators(scope),
        operator_classes(scope),
        operator_families(scope),
        casts(),
        conversions(scope),
        languages(),
        transforms(),
        access_methods(),
    ]
}

fn routines(scope: &Scope) -> String {
    format!(
        "select p.tableoid, p.oid, 0,
                case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end,
                p.oid::regprocedure::text, null::text, null::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(p.proowner)::text, 'grants', {grants},
                      'definition', case when p.prokind <> 'a' then pg_catalog.pg_get_functiondef(p.oid)
                                         else {aggregate} end]
           from pg_catalog.pg_proc p
           join pg_catalog.pg_namespace n on n.oid = p.pronamespace
           left join pg_catalog.pg_aggregate a on a.aggfnoid = p.oid
          where {covered} and {own}",
        grants = grants("p.proacl", 'f', "p.proowner"),
        aggregate = AGGREGATE,
        covered = scope.covers("n.nspname"),
        own = independent("pg_proc", "p.oid"),
    )
}

const AGGREGATE: &str = "pg_catalog.format(
    '(%s) returns %s kind %s %s parallel %s sfunc %s stype %s space %s final %s %s %s combine %s serial %s deserial %s'
    ' initial %L sort %s moving %s %s %s %s %s %s %s initial %L',
    pg_catalog.pg_get_function_arguments(p.oid), pg_catalog.pg_get_function_result(p.oid),
    a.aggkind, a.aggnumdirectargs, p.proparallel, a.aggtransfn,
    pg_catalog.format_type(a.aggtranstype, null), a.aggtransspace, a.aggfinalfn, a.aggfinalextra,
    a.aggfinalmodify, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.agginitval,
    a.aggsortop::regoperator, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn, a.aggmfinalextra,
    a.aggmfinalmodify, pg_catalog.format_type(nullif(a.aggmtranstype, 0), null), a.aggmtransspace,
    a.aggminitval)";

fn operators(scope: &Scope) -> String {
    format!(
        "select o.tableoid, o.oid, 0, 'operator', o.oid::regoperator::text,
                null::text, null::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(o.oprowner)::text,
                      'definition', pg_catalog.format('function %s commutator %s negator %s restrict %s join %s%s%s',
                          o.oprcode::regprocedure, o.oprcom::regoperator, o.oprnegate::regoperator, o.oprrest,
                          o.oprjoin, case when o.oprcanmerge then ' merges' end,
                          case when o.oprcanhash then ' hashes' end)]
           from pg_catalog.pg_operator o
           join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
          where {covered} and {own}",
        covered = scope.covers("n.nspname"),
        own = independent("pg_operator", "o.oid"),
    )
}

fn operator_classes(scope: &Scope) -> String {
    format!(
        "select o.tableoid, o.oid, 0, 'operator class',
                {name} || ' using ' || pg_catalog.quote_ident(m.amname),
                null::text, null::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(o.opcowner)::text,
                      'definition', pg_catalog.format('for %s family %s%s%s',
                          pg_catalog.format_type(o.opcintype, null), {family},
                          case when o.opcdefault then ' default' end,
                          ' storage ' || pg_catalog.format_type(nullif(o.opckeytype, 0), null))]
           from pg_catalog.pg_opclass o
           join pg_catalog.pg_namespace n on n.oid = o.opcnamespace
           join pg_catalog.pg_am m on m.oid = o.opcmethod
           join pg_catalog.pg_opfamily f on f.oid = o.opcfamily
           join pg_catalog.pg_namespace fn on fn.oid = f.opfnamespace
          where {covered} and {own}",
        name = name_in("n.nspname", "o.opcname"),
        family = name_in("fn.nspname", "f.opfname"),
        covered = scope.covers("n.nspname"),
        own = independent("pg_opclass", "o.oid"),
    )
}

fn operator_families(scope: &Scope) -> String {
    format!(
        "select f.tableoid, f.oid, 0, 'operator family',
                {name} || ' using ' || pg_catalog.quote_ident(m.amname),
                null::text, null::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(f.opfowner)::text,
                      'operators', (select pg_catalog.string_agg(pg_catalog.format('%s %s %s', o.amopstrategy,
                                        o.amopopr::regoperator, o.amoppurpose), E'\\n'
                                        order by o.amopstrategy, o.amopopr::regoperator::text)
                                      from pg_catalog.pg_amop o where o.amopfamily = f.oid),
                      'functions', (select pg_catalog.string_agg(pg_catalog.format('%s (%s, %s) %s', p.amprocnum,
                                        pg_catalog.format_type(p.amproclefttype, null),
                                        pg_catalog.format_type(p.amprocrighttype, null), p.amproc::regprocedure), E'\\n'
                                        order by p.amprocnum, p.amproc::regprocedure::text)
                                      from pg_catalog.pg_amproc p where p.amprocfamily = f.oid)]
           from pg_catalog.pg_opfamily f
           join pg_catalog.pg_namespace n on n.oid = f.opfnamespace
           join pg_catalog.pg_am m on m.oid = f.opfmethod
          where {covered} and {own}",
        name = name_in("n.nspname", "f.opfname"),
        covered = scope.covers("n.nspname"),
        own = independent("pg_opfamily", "f.oid"),
    )
}

/// Casts have no schema; those with an oid below 16384 are the server's own.
fn casts() -> String {
    format!(
        "select c.tableoid, c.oid, 0, 'cast',
                pg_catalog.format('(%s as %s)', pg_catalog.format_type(c.castsource, null),
                                  pg_catalog.format_type(c.casttarget, null)),
                null::text, null::text, null::text,
                array['context', case c.castcontext when 'i' then 'implicit' when 'a' then 'assignment'
                                 else 'explicit' end,
                      'method', case c.castmethod when 'f' then c.castfunc::regprocedure::text
                                when 'i' then 'inout' else 'binary' end]
           from pg_catalog.pg_cast c
          where c.oid >= 16384 and {own}",
        own = independent("pg_cast", "c.oid"),
    )
}

fn conversions(scope: &Scope) -> String {
    format!(
        "select c.tableoid, c.oid, 0, 'conversion', {name}, null::text, null::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(c.conowner)::text,
                      'definition', pg_catalog.format('%s to %s by %s%s',
                          pg_catalog.pg_encoding_to_char(c.conforencoding),
                          pg_catalog.pg_encoding_to_char(c.contoencoding), c.conproc,
                          case when c.condefault then ' default' end)]
           from pg_catalog.pg_conversion c
           join pg_catalog.pg_namespace n on n.oid = c.connamespace
          where {covered} and {own}",
        name = name_in("n.nspname", "c.conname"),
        covered = scope.covers("n.nspname"),
        own = independent("pg_conversion", "c.oid"),
    )
}

fn languages() -> String {
    format!(
        "select l.tableoid, l.oid, 0, 'language', pg_catalog.quote_ident(l.lanname),
                null::text, null::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(l.lanowner)::text, 'grants', {grants},
                      'definition', pg_catalog.format('%s handler %s inline %s validator %s',
                          case when l.lanpltrusted then 'trusted' else 'untrusted' end,
                          l.lanplcallfoid::regproc, l.laninline::regproc, l.lanvalidator::regproc)]
           from pg_catalog.pg_language l
          where l.oid >= 16384 and {own}",
        grants = grants("l.lanacl", 'l', "l.lanowner"),
        own = independent("pg_language", "l.oid"),
    )
}

fn transforms() -> String {
    format!(
        "select t.tableoid, t.oid, 0, 'transform',
                pg_catalog.format('for %s language %I', pg_catalog.format_type(t.trftype, null), l.lanname),
                null::text, null::text, null::text,
                array['from sql', t.trffromsql::regprocedure::text, 'to sql', t.trftosql::regprocedure::text]
           from pg_catalog.pg_transform t
           join pg_catalog.pg_language l on l.oid = t.trflang
          where t.oid >= 16384 and {own}",
        own = independent("pg_transform", "t.oid"),
    )
}

fn access_methods() -> String {
    format!(
        "select m.tableoid, m.oid, 0, 'access method', pg_catalog.quote_ident(m.amname),
                null::text, null::text, null::text,
                array['definition', case m.amtype when 't' then 'table' else 'index' end
                      || ' handler ' || m.amhandler::text]
           from pg_catalog.pg_am m
          where m.oid >= 16384 and {own}",
        own = independent("pg_am", "m.oid"),
    )
}
