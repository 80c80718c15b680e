create table public.app_user (
    id bigint generated always as identity primary key,
    username text not null unique,
    email text not null,
    enabled boolean not null default true
);
create table public.caseload_assignment (
    id serial primary key,
    user_id bigint not null references public.app_user (id),
    caseload text not null,
    unique (user_id, caseload)
);
