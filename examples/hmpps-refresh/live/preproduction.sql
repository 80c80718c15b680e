-- Preproduction: users of its own, whose ids production gave to others; a table, a view and a
-- column that production does not have.
create role preprod_app;
insert into public.app_user (username, email, last_login)
select 'QA_' || n, 'qa' || n || '@test.example', date '2026-10-01' from generate_series(1, 12) n;
insert into public.app_user (username, email) values ('USER_7', 'someone.else@test.example');
insert into public.caseload_assignment (user_id, caseload) select id, 'QAX' from public.app_user;
alter table public.app_user add test_note text;
update public.app_user set test_note = 'keep me' where username = 'QA_1';
create table public.load_test (
    id int primary key,
    user_id bigint not null references public.app_user (id),
    result text
);
insert into public.load_test select n, n, 'fine' from generate_series(1, 5) n;
create view public.qa_user as select * from public.app_user where username like 'QA%';
grant select on public.app_user, public.offender to preprod_app;
analyze;
