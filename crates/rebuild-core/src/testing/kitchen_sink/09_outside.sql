-- What reaches out of the database or watches it: large objects, foreign data, publications, a
-- subscription that is not connected, event triggers (last: they see the commands after them).

select pg_catalog.lo_from_bytea(70001, '\x00ff5c2e0a0d');
select pg_catalog.lo_from_bytea(70002, '');
select pg_catalog.lo_from_bytea(70003, pg_catalog.decode(pg_catalog.repeat(pg_catalog.md5('lo'), 2000), 'hex'));
-- With a hole in it.
select pg_catalog.lo_from_bytea(70004, '\x01');
select pg_catalog.lo_put(70004, 100000, '\x02');
alter large object 70001 owner to ks_owner;
grant select on large object 70003 to ks_reader with grant option;
comment on large object 70001 is 'a large object; it''s small';
create table ks.refers_to_large_objects (lo oid);
insert into ks.refers_to_large_objects values (70001), (70003);

create foreign data wrapper ks_wrapper options (debug 'true');
create server "ks server" type 'none' version '1' foreign data wrapper ks_wrapper options (host 'db.invalid', port '1');
create user mapping for ks_reader server "ks server" options ("user" 'remote', "pass word" 'it''s');
create user mapping for public server "ks server";
create foreign table ks.elsewhere (id int options (column_name 'ID') not null, t text collate "C" default 'x', check (id > 0))
    server "ks server" options (table_name 'far "away"');
create foreign table ks.measure_elsewhere partition of ks.by_list for values in (99) server "ks server";
grant usage on foreign data wrapper ks_wrapper to ks_owner;
grant usage on foreign server "ks server" to ks_reader;
comment on foreign data wrapper ks_wrapper is 'no handler: its tables cannot be read';
comment on server "ks server" is 'a server';
comment on foreign table ks.elsewhere is 'a foreign table';

do $$
begin
    -- Only so that a warning about wal_level does not look like a failure.
    perform pg_catalog.set_config('client_min_messages', 'error', true);
    create publication ks_some for table ks.plain, ks.team, ks."select" with (publish = 'insert, update');
    create publication ks_all for all tables with (publish = 'insert');
    create publication ks_root for table ks.measure with (publish_via_partition_root = true);
    create publication "ks nothing; yet";
    comment on publication ks_some is 'a publication';
    alter publication ks_root owner to ks_owner;
    if pg_catalog.current_setting('server_version_num')::int >= 150000 then
        execute 'create publication ks_filtered for table ks.plain (id, note, made) where (id > 5)';
        execute 'create publication ks_schemas for tables in schema ks_empty, "Schema with space" with (publish = ''insert'')';
    end if;
    -- What newer pg_dumps write for a subscription, servers before 16 cannot read.
    if pg_catalog.current_setting('server_version_num')::int >= 160000 then
        create subscription ks_idle connection 'host=db.invalid dbname=none' publication ks_some
            with (connect = false, slot_name = none, enabled = false);
        comment on subscription ks_idle is 'a subscription';
    end if;
end
$$;

create function ks.watch() returns event_trigger language plpgsql as $$
begin
    raise debug 'saw %', tg_tag;
end
$$;
create event trigger ks_watch_drops on sql_drop when tag in ('DROP TABLE', 'DROP SCHEMA') execute function ks.watch();
create event trigger ks_watch_always on ddl_command_end execute function ks.watch();
alter event trigger ks_watch_always enable always;
create event trigger ks_disabled on ddl_command_start execute function ks.watch();
alter event trigger ks_disabled disable;
comment on event trigger ks_watch_drops is 'an event trigger';
