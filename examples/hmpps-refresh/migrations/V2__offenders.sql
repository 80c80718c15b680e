create table public.offender (
    id bigint generated always as identity primary key,
    noms_number text not null unique,
    full_name text not null,
    date_of_birth date not null,
    phone text
);
create table public.case_note (
    id bigint generated always as identity primary key,
    offender_id bigint not null references public.offender (id),
    author_id bigint not null references public.app_user (id),
    body text not null,
    written_on date not null
);
create index case_note_offender on public.case_note (offender_id);
create materialized view public.notes_per_offender as
    select offender_id, count(*) as notes from public.case_note group by offender_id;
