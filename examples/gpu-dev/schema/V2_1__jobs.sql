-- The column that the live cluster lacked when this procedure was written.
alter table reservations add column jupyter_url text;

create table jobs (
    id bigint generated always as identity primary key,
    reservation_id uuid not null references reservations (id),
    queued_at timestamptz not null default now(),
    payload jsonb not null
);
