//! Text search parsers, templates, dictionaries and configurations.

use super::fragments::{Scope, independent, name_in};

pub(super) fn queries(scope: &Scope) -> Vec<String> {
    vec![
        query(scope, &PARSER),
        query(scope, &TEMPLATE),
        query(scope, &DICTIONARY),
        query(scope, &CONFIGURATION),
    ]
}

/// One of the four catalogs: they differ in little but the prefix of their columns.
struct Kind {
    kind: &'static str,
    catalog: &'static str,
    prefix: &'static str,
    attributes: &'static str,
}

const PARSER: Kind = Kind {
    kind: "text search parser",
    catalog: "pg_ts_parser",
    prefix: "prs",
    attributes: "'definition', pg_catalog.format('start %s token %s end %s headline %s types %s',
        x.prsstart, x.prstoken, x.prsend, x.prsheadline, x.prslextype)",
};

const TEMPLATE: Kind = Kind {
    kind: "text search template",
    catalog: "pg_ts_template",
    prefix: "tmpl",
    attributes: "'definition', pg_catalog.format('init %s lexize %s', x.tmplinit, x.tmpllexize)",
};

const DICTIONARY: Kind = Kind {
    kind: "text search dictionary",
    catalog: "pg_ts_dict",
    prefix: "dict",
    attributes: "'owner', pg_catalog.pg_get_userbyid(x.dictowner)::text,
        'template', (select pg_catalog.format('%I.%I', tn.nspname, t.tmplname)
                       from pg_catalog.pg_ts_template t
                       join pg_catalog.pg_namespace tn on tn.oid = t.tmplnamespace
                      where t.oid = x.dicttemplate),
        'options', x.dictinitoption",
};

const CONFIGURATION: Kind = Kind {
    kind: "text search configuration",
    catalog: "pg_ts_config",
    prefix: "cfg",
    attributes: "'owner', pg_catalog.pg_get_userbyid(x.cfgowner)::text,
        'parser', (select pg_catalog.format('%I.%I', pn.nspname, p.prsname)
                     from pg_catalog.pg_ts_parser p
                     join pg_catalog.pg_namespace pn on pn.oid = p.prsnamespace
                    where p.oid = x.cfgparser),
        'mapping', (select pg_catalog.string_agg(m.maptokentype || ' ' || m.mapdict::regdictionary::text, E'\\n'
                                                 order by m.maptokentype, m.mapseqno)
                      from pg_catalog.pg_ts_config_map m where m.mapcfg = x.oid)",
};

fn query(scope: &Scope, kind: &Kind) -> String {
    let Kind {
        kind,
        catalog,
        prefix,
        attributes,
    } = kind;
    format!(
        "select x.tableoid, x.oid, 0, '{kind}', {name}, null::text, null::text, null::text,
                array[{attributes}]
           from pg_catalog.{catalog} x
           join pg_catalog.pg_namespace n on n.oid = x.{prefix}namespace
          where {covered} and {own}",
        name = name_in("n.nspname", &format!("x.{prefix}name")),
        covered = scope.covers("n.nspname"),
        own = independent(catalog, "x.oid"),
    )
}
