-- Production: 400 users, 2,000 offenders, 20,000 notes, of which some are old.
insert into public.app_user (username, email)
select 'USER_' || n, 'user.' || n || '@justice.example' from generate_series(1, 400) n;
insert into public.caseload_assignment (user_id, caseload)
select id, case id % 3 when 0 then 'LEI' when 1 then 'MDI' else 'BXI' end from public.app_user;
insert into public.offender (noms_number, full_name, date_of_birth, phone)
select 'A' || lpad(n::text, 4, '0') || 'ZX', 'Real Person ' || n,
       date '1960-01-01' + (n * 7), '+44 20 7946 ' || lpad(n::text, 4, '0')
  from generate_series(1, 2000) n;
insert into public.case_note (offender_id, author_id, body, written_on)
select 1 + n % 2000, 1 + n % 400, 'A note about Real Person ' || 1 + n % 2000,
       date '2026-11-01' - (n % 900)
  from generate_series(1, 20000) n;
refresh materialized view public.notes_per_offender;
analyze;
