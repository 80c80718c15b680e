-- Applied after the schema files, to make the drifted live database of the demo.
alter table gpu drop column memory_gib;

insert into host (name, rack)
select 'gpu-' || lpad(n::text, 3, '0'), n % 12 from generate_series(1, 50) n;

insert into gpu (host_id, slot, model, state)
select h.id, s, case when h.id % 3 = 0 then 'H200' else 'B200' end,
       case when (h.id + s) % 41 = 0 then 'broken'::gpu_state else 'available'::gpu_state end
  from host h, generate_series(0, 7) s;

insert into person (email, team)
select 'person' || n || '@example.org', 'team-' || n % 17 from generate_series(1, 5000) n;

insert into reservation (gpu_id, person_id, starts_at, ends_at, cancelled, note)
select 1 + n % 400, 1 + n % 5000,
       timestamptz '2026-01-01 00:00+00' + n * interval '3 minutes',
       timestamptz '2026-01-01 00:00+00' + n * interval '3 minutes' + (1 + n % 48) * interval '1 hour',
       n % 29 = 0,
       case when n % 5 = 0 then 'training run ' || n end
  from generate_series(1, 150000) n;

refresh materialized view team_usage;
analyze;
