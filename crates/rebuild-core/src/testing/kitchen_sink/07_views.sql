-- Views, materialised views, and what depends on them in circles.

create view ks.team_size with (security_barrier = true) as
    select t.id, t.name, pg_catalog.count(p.id) as people
    from ks.team t left join ks.person p on p.team_id = t.id
    group by t.id;
comment on view ks.team_size is 'depends on a primary key: name is not grouped by';
comment on column ks.team_size.people is 'a column of a view';
alter view ks.team_size alter column people set default 0;
create view ks.checked ("Renamed", touched) as select note, touched from ks.plain where touched < 100
    with cascaded check option;
create function ks.write_view() returns trigger language plpgsql as 'begin return new; end';
create trigger instead_of instead of insert or update on ks.team_size for each row execute function ks.write_view();
create view ks.no_columns_view as select from ks.without_key;
create view ks.whole_row as select s, s.*::text as t from ks."select" s;
create view ks.counting as with recursive c (n) as (values (1) union all select n + 1 from c where n < 5) select n from c;
create view ks.with_rule as select 1 as a;
create rule write_it as on insert to ks.with_rule do instead insert into ks.without_key (a) values (new.a);

-- Two views that depend on each other. They can be restored, and reading them is an error.
create view ks.circle_a as select null::int as n, null::text as t;
create view ks.circle_b as select n, t from ks.circle_a;
create or replace view ks.circle_a as select n, t from ks.circle_b;
-- A circle of a table, a function over its rows, and a default that calls it.
create table ks.circle_table (id int primary key, label text);
create function ks.circle_label(ks.circle_table) returns text language sql stable as $$select 'row ' || $1.id$$;
alter table ks.circle_table alter column label set default ks.circle_label(null);
alter table ks.circle_table add constraint circle_check check (ks.circle_label(circle_table) <> 'row -1');
insert into ks.circle_table values (1);

create materialized view ks.big_teams as select name, people from ks.team_size where people > 0;
create unique index big_teams_name on ks.big_teams (name);
create materialized view ks."a first, by name" (n, doubled) as select people, people * 2 from ks.big_teams with no data;
refresh materialized view ks."a first, by name";
create materialized view ks.never_filled as select * from ks.plain with no data;
create index on ks.never_filled (id);
comment on materialized view ks.big_teams is 'a materialised view';
do $$
begin
    if pg_catalog.current_setting('server_version_num')::int >= 140000 then
        -- A view and a function with a parsed body that depend on each other.
        execute 'create view ks.circle_c as select 1::bigint as n';
        execute $x$create function ks.circle_function() returns bigint language sql stable
            begin atomic
                select pg_catalog.count(*) from ks.circle_c;
            end$x$;
        execute 'create or replace view ks.circle_c as select ks.circle_function() as n';
    end if;
    if pg_catalog.current_setting('server_version_num')::int >= 150000 then
        execute 'create view ks.as_invoker with (security_invoker = true) as select * from ks.person';
    end if;
end
$$;
