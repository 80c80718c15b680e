-- Roles, schemas and extensions. Every name is qualified: the session's search_path may be empty.
-- What a version or a build lacks is made in a DO block that asks first.

do $$
declare
    wanted text;
begin
    foreach wanted in array array['ks_owner', 'ks_reader', 'ks "writer" 角色'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = wanted) then
            execute pg_catalog.format('create role %I', wanted);
        end if;
    end loop;
end
$$;

create schema ks authorization ks_owner;
create schema "Schema with space";
create schema "sché.ma ""quoted"" 表";
create schema ks_empty;
create schema ks_ext;
comment on schema ks is 'It''s the main one; -- not a comment
second line, tab	, backslash \ and $$ dollars $$';
comment on schema "sché.ma ""quoted"" 表" is '';
comment on schema "Schema with space" is 'with space';
comment on schema public is 'changed from the default';

do $$
declare
    wanted text;
begin
    foreach wanted in array array['hstore', 'citext', 'pg_trgm', 'btree_gist'] loop
        if exists (select from pg_catalog.pg_available_extensions a where a.name = wanted) then
            execute pg_catalog.format('create extension %I schema ks_ext', wanted);
            execute pg_catalog.format('comment on extension %I is %L', wanted, 'the ' || wanted || ' extension');
        end if;
    end loop;
end
$$;
