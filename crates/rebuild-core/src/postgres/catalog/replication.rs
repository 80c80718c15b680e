//! Publications, subscriptions and event triggers.

use super::fragments::{Scope, independent};

pub(super) fn queries(scope: &Scope) -> Vec<String> {
    vec![publications(scope), subscriptions(scope), event_triggers()]
}

/// Column lists, row filters and whole schemas came with 15
/// (<https://www.postgresql.org/docs/current/catalog-pg-publication.html>).
fn publications(scope: &Scope) -> String {
    let (columns, filter, schemas) = if scope.major >= 15 {
        (
            "(select ' (' || pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' order by a.attnum) || ')'
                from pg_catalog.pg_attribute a where a.attrelid = r.prrelid and a.attnum = any (r.prattrs))",
            "' where ' || pg_catalog.pg_get_expr(r.prqual, r.prrelid)",
            "(select pg_catalog.string_agg(pg_catalog.quote_ident(n.nspname), ', ' order by n.nspname)
                from pg_catalog.pg_publication_namespace s
                join pg_catalog.pg_namespace n on n.oid = s.pnnspid where s.pnpubid = p.oid)",
        )
    } else {
        ("null::text", "null::text", "null::text")
    };
    format!(
        "select p.tableoid, p.oid, 0, 'publication', pg_catalog.quote_ident(p.pubname),
                null::text, null::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(p.pubowner)::text,
                      'publishes', pg_catalog.concat_ws(', ', case when p.pubinsert then 'insert' end,
                          case when p.pubupdate then 'update' end, case when p.pubdelete then 'delete' end,
                          case when p.pubtruncate then 'truncate' end,
                          case when p.pubviaroot then 'via the root' end),
                      'all tables', case when p.puballtables then 'true' end,
                      'generated columns', {generated},
                      'schemas', {schemas},
                      'tables', (select pg_catalog.string_agg(r.prrelid::regclass::text || coalesce({columns}, '')
                                            || coalesce({filter}, ''), E'\\n' order by r.prrelid::regclass::text)
                                   from pg_catalog.pg_publication_rel r where r.prpubid = p.oid)]
           from pg_catalog.pg_publication p
          where {own}",
        generated = scope.since(18, "p.pubgencols::text"),
        own = independent("pg_publication", "p.oid"),
    )
}

/// What every role may read; the connection string is not among it, and holds a password.
/// Which one it is (for its comment) may be read from 14 on.
fn subscriptions(scope: &Scope) -> String {
    let oid = if scope.major >= 14 { "s.oid" } else { "0::oid" };
    format!(
        "select 'pg_catalog.pg_subscription'::regclass::oid, {oid}, 0, 'subscription',
            pg_catalog.quote_ident(s.subname), null::text, null::text, null::text,
            array['owner', pg_catalog.pg_get_userbyid(s.subowner)::text, 'enabled', s.subenabled::text,
                  'slot', s.subslotname::text,
                  'publications', pg_catalog.array_to_string(s.subpublications, ', ')]
       from pg_catalog.pg_subscription s
       join pg_catalog.pg_database d on d.oid = s.subdbid
      where d.datname = pg_catalog.current_database()"
    )
}

fn event_triggers() -> String {
    format!(
        "select e.tableoid, e.oid, 0, 'event trigger', pg_catalog.quote_ident(e.evtname),
                null::text, null::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(e.evtowner)::text,
                      'definition', pg_catalog.format('on %s %s execute %s', e.evtevent,
                          (select pg_catalog.string_agg(t.t, ', ' order by t.t)
                             from pg_catalog.unnest(e.evttags) as t (t)),
                          e.evtfoid::regprocedure),
                      'fires', case e.evtenabled when 'D' then 'disabled' when 'R' then 'on replica'
                                    when 'A' then 'always' end]
           from pg_catalog.pg_event_trigger e
          where {own}",
        own = independent("pg_event_trigger", "e.oid"),
    )
}
