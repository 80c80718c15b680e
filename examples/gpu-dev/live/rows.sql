alter table reservations drop column jupyter_url;
insert into users (github_name, ssh_keys)
select 'user' || n, array['ssh-ed25519 key' || n] from generate_series(1, 300) n;
insert into reservations (user_id, gpu_type, gpu_count, state, labels)
select 1 + n % 300, (array['b200', 'h200', 't4'])[1 + n % 3], 1 + n % 8,
       (array['pending', 'active', 'finished', 'failed'])[1 + n % 4]::reservation_state,
       hstore('n', n::text)
  from generate_series(1, 2000) n;
insert into availability (gpu_type, total, used) values ('b200', 64, 12);
insert into jobs (reservation_id, payload)
select id, jsonb_build_object('command', 'train') from reservations where state = 'active';
