//! Foreign-data wrappers, servers and user mappings.

use super::fragments::{Scope, grants, independent, sorted};

pub(super) fn queries(_: &Scope) -> Vec<String> {
    vec![wrappers(), servers(), user_mappings()]
}

fn wrappers() -> String {
    format!(
        "select w.tableoid, w.oid, 0, 'foreign-data wrapper', pg_catalog.quote_ident(w.fdwname),
                null::text, null::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(w.fdwowner)::text, 'grants', {grants},
                      'functions', pg_catalog.format('handler %s validator %s', w.fdwhandler::regproc,
                                                     w.fdwvalidator::regproc),
                      'options', {options}]
           from pg_catalog.pg_foreign_data_wrapper w
          where {own}",
        options = sorted("w.fdwoptions"),
        grants = grants("w.fdwacl", 'F', "w.fdwowner"),
        own = independent("pg_foreign_data_wrapper", "w.oid"),
    )
}

fn servers() -> String {
    format!(
        "select s.tableoid, s.oid, 0, 'server', pg_catalog.quote_ident(s.srvname),
                null::text, null::text, null::text,
                array['owner', pg_catalog.pg_get_userbyid(s.srvowner)::text, 'grants', {grants},
                      'wrapper', w.fdwname::text, 'type', s.srvtype, 'version', s.srvversion,
                      'options', {options}]
           from pg_catalog.pg_foreign_server s
           join pg_catalog.pg_foreign_data_wrapper w on w.oid = s.srvfdw
          where {own}",
        options = sorted("s.srvoptions"),
        grants = grants("s.srvacl", 'S', "s.srvowner"),
        own = independent("pg_foreign_server", "s.oid"),
    )
}

/// The options hold passwords, so only a digest of them is read.
fn user_mappings() -> String {
    format!(
        "select 'pg_catalog.pg_user_mapping'::regclass::oid, u.umid, 0, 'user mapping',
                pg_catalog.format('of %I on server %I', u.usename, u.srvname),
                null::text, null::text, null::text,
                array['digest of the options', pg_catalog.encode(pg_catalog.sha256(
                          pg_catalog.convert_to({options}, 'UTF8')), 'hex')]
           from pg_catalog.pg_user_mappings u",
        options = sorted("u.umoptions"),
    )
}
