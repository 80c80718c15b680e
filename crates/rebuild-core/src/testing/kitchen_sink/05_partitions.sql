-- Partitioned tables: range, list, hash, default, nested, detached, and ones whose partitions
-- differ from their parent.

create table ks.measure (
    id bigint not null, at timestamptz not null, place text not null, value float8,
    gone int, primary key (id, at, place)
) partition by range (at);
alter table ks.measure drop column gone;
create table ks.measure_2023 partition of ks.measure for values from ('2023-01-01 00:00+00') to ('2024-01-01 00:00+00');
create table ks.measure_2024 partition of ks.measure for values from ('2024-01-01 00:00+00') to ('2025-01-01 00:00+00')
    partition by list (place);
create table ks."measure 2024 north" partition of ks.measure_2024 for values in ('north', 'it''s "north"')
    partition by hash (id);
create table ks.measure_2024_north_0 partition of ks."measure 2024 north" for values with (modulus 2, remainder 0);
create table ks.measure_2024_north_1 partition of ks."measure 2024 north" for values with (modulus 2, remainder 1);
create table ks.measure_2024_rest partition of ks.measure_2024 default;
create table ks.measure_old partition of ks.measure for values from (minvalue) to ('2023-01-01 00:00+00');
create table ks.measure_default partition of ks.measure default;
-- Attached with columns in another order, a dropped one, and a default of its own.
create table ks.measure_2025 (
    dropped text, value float8 default 1.5, place text not null, at timestamptz not null, id bigint not null);
alter table ks.measure_2025 drop column dropped;
alter table ks.measure attach partition ks.measure_2025 for values from ('2025-01-01 00:00+00') to ('2026-01-01 00:00+00');
create table "Schema with space".measure_2026 partition of ks.measure
    for values from ('2026-01-01 00:00+00') to (maxvalue);
create table ks.was_a_partition partition of ks.measure_2024 for values in ('nowhere');
alter table ks.measure_2024 detach partition ks.was_a_partition;
create index measure_place on ks.measure (place, value);
create index "only here" on ks.measure_2023 (value);
create trigger stamp_measure after insert on ks.measure for each row when (new.id < 0) execute function ks.stamp();
alter table ks.measure_2023 disable trigger stamp_measure;
insert into ks.measure (id, at, place, value)
select n, timestamptz '2022-06-01 00:00+00' + n * interval '10 days',
    (array['north', 'south', 'it''s "north"', ''])[1 + n % 4], n / 3.0
from pg_catalog.generate_series(1, 160) n;
comment on table ks.measure is 'partitioned';
comment on index ks.measure_place is 'a partitioned index';

create table ks.by_list (k int, v text) partition by list (k);
create table ks.by_list_null partition of ks.by_list for values in (null, 0);
create table ks.by_list_ones partition of ks.by_list for values in (1, 11, 111);
create unlogged table ks.by_list_unlogged partition of ks.by_list default;
insert into ks.by_list values (null, 'null'), (0, 'zero'), (1, 'one'), (111, 'more'), (5, 'default');

-- The hash of an enum is that of its label's oid, which a restore changes: rows move between
-- these partitions, so they can only be loaded through their root.
create table ks.by_enum (m ks.mood, n int) partition by hash (m);
create table ks.by_enum_0 partition of ks.by_enum for values with (modulus 3, remainder 0);
create table ks.by_enum_1 partition of ks.by_enum for values with (modulus 3, remainder 1);
create table ks.by_enum_2 partition of ks.by_enum for values with (modulus 3, remainder 2);
insert into ks.by_enum
select m, n
from pg_catalog.unnest(array['sad', 'fine', 'it''s "great"', 'größer', '', '\back', null]::ks.mood[]) m,
    pg_catalog.generate_series(1, 4) n;

create table ks.by_expression (name text, born date) partition by range (pg_catalog.lower(name) collate "C", born);
create table ks.by_expression_all partition of ks.by_expression for values from (minvalue, minvalue) to (maxvalue, maxvalue);
insert into ks.by_expression values ('Anna', '2000-01-01'), ('ZOË', '1999-12-31');
create table ks.no_partitions (id int) partition by range (id);
create table ks.refers_to_partitions (
    id bigint, at timestamptz, place text,
    foreign key (id, at, place) references ks.measure on delete cascade);
insert into ks.refers_to_partitions select id, at, place from ks.measure where id % 20 = 0;
