insert into workspace (name) select 'workspace ' || n from generate_series(1, 40) n;
insert into analysis (workspace_id, parameters, submitted)
select 1 + n % 40, jsonb_build_object('genes', n, 'method', 'deseq2'),
       timestamptz '2026-01-01 00:00+00' + n * interval '1 hour'
  from generate_series(1, 3000) n;
