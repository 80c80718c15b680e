-- Owners, grants, default privileges, row security, settings of the database.

alter table ks.team owner to ks_owner;
alter table ks."select" owner to ks_owner;
alter sequence ks.unowned owner to ks_owner;
alter view ks.checked owner to ks_owner;
alter materialized view ks.big_teams owner to ks_owner;
alter function ks.slug(int) owner to ks_owner;
alter domain ks.code owner to ks_owner;
alter table ks.measure_2023 owner to ks_owner;
alter schema "Schema with space" owner to "ks ""writer"" 角色";

revoke create on schema public from public;
grant usage on schema ks to ks_reader, "ks ""writer"" 角色";
grant create on schema ks to "ks ""writer"" 角色" with grant option;
grant select on all tables in schema ks to ks_reader;
revoke select on ks.person from ks_reader;
grant select (id, team_id), update (born) on ks.person to ks_reader with grant option;
grant select ("new
line") on "Schema with space"."ta""ble 'x' $1 %s" to "ks ""writer"" 角色";
grant all on ks.plain to "ks ""writer"" 角色" with grant option;
grant insert, truncate, references, trigger on ks.without_key to public;
revoke all on ks.team from ks_owner;
grant select on ks.team to ks_owner;
-- A materialised view is refreshed with its owner's rights.
grant select on ks.team_size to ks_owner;
grant usage, select on sequence ks.descending to ks_reader;
grant update on sequence ks."owned by other" to public;
revoke execute on function ks.slug(text, text) from public;
grant execute on function ks.slug(text, text) to ks_reader;
revoke execute on procedure ks.rename_all(int, text) from public;
revoke usage on type ks.mood from public;
grant usage on type ks.mood to ks_reader;
grant usage on domain ks.even to ks_reader;
revoke usage on language plpgsql from public;
grant usage on language plpgsql to ks_owner;
comment on language plpgsql is 'a language';

alter default privileges for role ks_owner in schema ks grant select on tables to ks_reader;
alter default privileges for role ks_owner grant usage on sequences to ks_reader with grant option;
alter default privileges for role ks_owner revoke execute on functions from public;
alter default privileges in schema ks_empty grant usage on types to public;
alter default privileges for role "ks ""writer"" 角色" grant all on schemas to ks_owner;

do $$
begin
    if exists (select from pg_catalog.pg_extension where extname = 'pg_trgm') then
        -- Rights on a member of an extension, unlike those it came with.
        revoke execute on function ks_ext.similarity(text, text) from public;
        grant execute on function ks_ext.similarity(text, text) to ks_reader;
    end if;
    execute pg_catalog.format('comment on database %I is %L', pg_catalog.current_database(), 'it''s everything');
    execute pg_catalog.format('alter database %I set work_mem to ''7MB''', pg_catalog.current_database());
    execute pg_catalog.format('alter database %I set "search_path" to ks, "Schema with space", public', pg_catalog.current_database());
    execute pg_catalog.format('alter role ks_reader in database %I set statement_timeout to ''9s''', pg_catalog.current_database());
    execute pg_catalog.format('grant connect, temporary on database %I to ks_reader with grant option', pg_catalog.current_database());
    execute pg_catalog.format('revoke temporary on database %I from public', pg_catalog.current_database());
end
$$;

create table ks.secret_rows (id int primary key, owner_name name not null, body text);
insert into ks.secret_rows select n, case when n % 2 = 0 then 'ks_owner' else 'ks_reader' end, 'body ' || n from pg_catalog.generate_series(1, 10) n;
alter table ks.secret_rows owner to ks_owner;
alter table ks.secret_rows enable row level security, force row level security;
create policy own_rows on ks.secret_rows for all to ks_reader, public using (owner_name = current_user) with check (owner_name = current_user);
create policy "never; these" on ks.secret_rows as restrictive for select using (id <> 7);
create policy can_add on ks.secret_rows for insert to "ks ""writer"" 角色" with check (ks.is_even(id));
comment on policy own_rows on ks.secret_rows is 'a policy';
create table ks.policy_not_in_force (id int);
create policy unused on ks.policy_not_in_force using (false);
insert into ks.policy_not_in_force values (1);
