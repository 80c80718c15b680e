//! An extension with tables of its own.

/// What CREATE EXTENSION makes of a script with pg_extension_config_dump, and rows of that script.
pub(crate) const EXTENSION: &str = "
    create schema ext;
    create table ext.filtered (x int, own bool);
    create table ext.whole (x int);
    alter extension plpgsql add table ext.filtered;
    alter extension plpgsql add table ext.whole;
    set allow_system_table_mods = on;
    update pg_catalog.pg_extension
       set extconfig = array['ext.filtered'::pg_catalog.regclass::pg_catalog.oid,
                             'ext.whole'::pg_catalog.regclass::pg_catalog.oid],
           extcondition = array['where own', '']
     where extname = 'plpgsql';
    reset allow_system_table_mods;
    insert into ext.filtered select i, false from pg_catalog.generate_series(1, 3) i";
