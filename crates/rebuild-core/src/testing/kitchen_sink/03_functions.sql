-- Functions, procedures and aggregates.

-- Refers to what does not exist yet; plpgsql looks only when it runs.
create function ks.count_later() returns bigint language plpgsql stable as $body$
begin
    return (select count(*) from ks.plain where note <> '$$ ''quoted'' \ $$');
end
$body$;

create function ks.stamp() returns trigger language plpgsql as $fn$
begin
    new.touched := new.touched + 1;
    return new;
end
$fn$;
comment on function ks.stamp() is 'fires before insert: a restore that lets it fire changes rows';

create function ks.slug(title text, sep text default '-') returns text
    language sql immutable strict parallel safe leakproof cost 7
    as $$select pg_catalog.lower(pg_catalog.regexp_replace(title, '\W+', sep, 'g'))$$;
create function ks.slug(title int) returns text language sql immutable as $$select 'n' || title$$;
comment on function ks.slug(text, text) is 'overloaded';

create function ks.pairs(inout a int, out b text, variadic rest int[] default '{}') returns setof record
    language sql stable rows 12 as $$select a, r::text from pg_catalog.unnest(rest) r$$;
create function ks.named(lower_than int) returns table ("id" int, "the name" text)
    language sql stable as $$select g, 'n' || g from pg_catalog.generate_series(1, lower_than) g$$;
create function ks.first_of(anyarray) returns anyelement language sql immutable as 'select $1[1]';
create function ks.own_path() returns text language plpgsql security definer
    set search_path to 'ks', 'pg_temp' set work_mem to '1MB' set "datestyle" to 'SQL, DMY'
    as $$begin return pg_catalog.current_setting('search_path'); end$$;
create function ks.row_number() returns bigint window language internal immutable as 'window_row_number';
create function "Schema with space"."odd name; drop"("arg one" int default 1, "Arg""Two" text default 'it''s')
    returns text language sql immutable as $a$select $1 || $2$a$;
comment on function "Schema with space"."odd name; drop"(int, text) is 'quoted throughout';

create procedure ks.rename_all(inout n int, suffix text default null) language plpgsql as $$
begin
    n := n + 1;
end
$$;
comment on procedure ks.rename_all(int, text) is 'a procedure';
alter procedure ks.rename_all(int, text) owner to ks_owner;

create aggregate ks.product(numeric) (
    sfunc = pg_catalog.numeric_mul, stype = numeric, initcond = '1', combinefunc = pg_catalog.numeric_mul, parallel = safe);
create aggregate ks.moving_sum(int8) (
    sfunc = pg_catalog.int8pl, stype = int8, initcond = '0',
    msfunc = pg_catalog.int8pl, minvfunc = pg_catalog.int8mi, mstype = int8, minitcond = '0');
comment on aggregate ks.product(numeric) is 'an aggregate';

do $$
begin
    -- A function in C, from a library that is certain to be there when its extension is.
    if exists (select from pg_catalog.pg_extension where extname = 'pg_trgm') then
        create function ks.trigrams(text) returns text[] language c immutable strict as '$libdir/pg_trgm', 'show_trgm';
        alter function ks.trigrams(text) depends on extension pg_trgm;
    end if;
    if pg_catalog.current_setting('server_version_num')::int >= 140000 then
        execute $x$
            create function ks.atomic_sum(a int, b int) returns int language sql immutable
            begin atomic
                select a + b;
            end$x$;
        execute $x$create procedure ks.atomic_steps(inout n int) language sql
            begin atomic
                select n + 1;
            end$x$;
        execute 'create function ks.return_form(n int) returns int language sql immutable return n * 2';
    end if;
end
$$;
