create table host (
    id bigint generated always as identity primary key,
    name text not null unique,
    rack integer not null
);

create table gpu (
    id bigint generated always as identity primary key,
    host_id bigint not null references host (id),
    slot integer not null check (slot between 0 and 15),
    model text not null,
    -- The live database was built before this column was added to the files.
    memory_gib integer not null default 80,
    state gpu_state not null default 'available',
    unique (host_id, slot)
);

create table person (
    id bigint generated always as identity primary key,
    email email not null unique,
    team text not null,
    created_at timestamptz not null default now()
);

create table reservation (
    id bigint generated always as identity primary key,
    gpu_id bigint not null references gpu (id),
    person_id bigint not null references person (id) on delete cascade,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    cancelled boolean not null default false,
    note text,
    check (ends_at > starts_at)
);

create table reservation_log (
    id bigint generated always as identity primary key,
    reservation_id bigint not null,
    happened text not null,
    at timestamptz not null default now()
);
