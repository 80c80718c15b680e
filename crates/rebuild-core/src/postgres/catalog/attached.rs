//! What hangs on a table: constraints, triggers, rules, policies.

use super::fragments::{Scope, independent, name_in};

pub(super) fn queries(scope: &Scope) -> Vec<String> {
    vec![
        constraints(scope),
        domain_constraints(scope),
        triggers(scope),
        rules(scope),
        policies(scope),
    ]
}

/// Copies that the server makes of a foreign key for partitions go with the original. A foreign
/// key whose internal triggers are disabled is not enforced, whatever else the catalog says.
fn constraints(scope: &Scope) -> String {
    format!(
        "select k.tableoid, k.oid, 0, 'constraint',
                pg_catalog.quote_ident(k.conname) || ' on ' || {table},
                n.nspname::text, c.relname::text, null::text,
                array['definition', pg_catalog.pg_get_constraintdef(k.oid),
                      'valid', case when not k.convalidated then 'false' end,
                      'inherited', case when c.relispartition or k.coninhcount = 0 then null
                                        when k.conislocal then 'and declared' else 'only' end,
                      'enforcement', case when exists (
                          select from pg_catalog.pg_trigger g
                           where g.tgconstraint = k.oid and g.tgisinternal and g.tgenabled <> 'O')
                          then 'triggers disabled' end]
           from pg_catalog.pg_constraint k
           join pg_catalog.pg_class c on c.oid = k.conrelid
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where k.contype <> 't' and not (k.contype = 'f' and k.conparentid <> 0)
            and c.relpersistence <> 't' and {covered} and {own}",
        table = name_in("n.nspname", "c.relname"),
        covered = scope.covers("n.nspname"),
        own = independent("pg_class", "c.oid"),
    )
}

fn domain_constraints(scope: &Scope) -> String {
    format!(
        "select k.tableoid, k.oid, 0, 'constraint',
                pg_catalog.quote_ident(k.conname) || ' on domain ' || k.contypid::regtype::text,
                null::text, null::text, null::text,
                array['definition', pg_catalog.pg_get_constraintdef(k.oid),
                      'valid', case when not k.convalidated then 'false' end]
           from pg_catalog.pg_constraint k
           join pg_catalog.pg_type t on t.oid = k.contypid
           join pg_catalog.pg_namespace n on n.oid = t.typnamespace
          where {covered} and {own}",
        covered = scope.covers("n.nspname"),
        own = independent("pg_type", "t.oid"),
    )
}

/// The four states of `ALTER TABLE … ENABLE/DISABLE TRIGGER`; origin is the default.
fn firing(state: &str) -> String {
    format!(
        "case {state} when 'D' then 'disabled' when 'R' then 'on replica' when 'A' then 'always' end"
    )
}

fn triggers(scope: &Scope) -> String {
    format!(
        "select g.tableoid, g.oid, 0, 'trigger',
                pg_catalog.quote_ident(g.tgname) || ' on ' || {table},
                n.nspname::text, c.relname::text, null::text,
                array['definition', pg_catalog.pg_get_triggerdef(g.oid), 'fires', {fires}]
           from pg_catalog.pg_trigger g
           join pg_catalog.pg_class c on c.oid = g.tgrelid
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where not g.tgisinternal and c.relpersistence <> 't' and {covered} and {own}",
        table = name_in("n.nspname", "c.relname"),
        fires = firing("g.tgenabled"),
        covered = scope.covers("n.nspname"),
        own = independent("pg_class", "c.oid"),
    )
}

fn rules(scope: &Scope) -> String {
    format!(
        "select r.tableoid, r.oid, 0, 'rule', pg_catalog.quote_ident(r.rulename) || ' on ' || {table},
                n.nspname::text, c.relname::text, null::text,
                array['definition', pg_catalog.pg_get_ruledef(r.oid), 'fires', {fires}]
           from pg_catalog.pg_rewrite r
           join pg_catalog.pg_class c on c.oid = r.ev_class
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where r.rulename <> '_RETURN' and c.relpersistence <> 't' and {covered} and {own}",
        table = name_in("n.nspname", "c.relname"),
        fires = firing("r.ev_enabled"),
        covered = scope.covers("n.nspname"),
        own = independent("pg_class", "c.oid"),
    )
}

fn policies(scope: &Scope) -> String {
    format!(
        "select p.tableoid, p.oid, 0, 'policy', pg_catalog.quote_ident(p.polname) || ' on ' || {table},
                n.nspname::text, c.relname::text, null::text,
                array['command', case p.polcmd when 'r' then 'select' when 'a' then 'insert'
                                 when 'w' then 'update' when 'd' then 'delete' else 'all' end,
                      'restrictive', case when not p.polpermissive then 'true' end,
                      'roles', (select pg_catalog.string_agg(x.name, ', ' order by x.name)
                                  from (select case r.oid when 0 then 'PUBLIC'
                                                    else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(r.oid)) end as name
                                          from pg_catalog.unnest(p.polroles) as r (oid)) x),
                      'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid),
                      'with check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)]
           from pg_catalog.pg_policy p
           join pg_catalog.pg_class c on c.oid = p.polrelid
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where {covered} and {own}",
        table = name_in("n.nspname", "c.relname"),
        covered = scope.covers("n.nspname"),
        own = independent("pg_class", "c.oid"),
    )
}
