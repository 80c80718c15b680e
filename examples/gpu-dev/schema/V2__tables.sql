create table users (
    id bigint generated always as identity primary key,
    github_name text not null unique,
    ssh_keys text[] not null default '{}'
);

create table reservations (
    id uuid primary key default gen_random_uuid(),
    user_id bigint not null references users (id),
    gpu_type text not null,
    gpu_count integer not null check (gpu_count > 0),
    state reservation_state not null default 'pending',
    labels hstore not null default '',
    created_at timestamptz not null default now()
);
create index reservations_active on reservations (gpu_type) where state in ('pending', 'active');

create table availability (
    gpu_type text primary key,
    total integer not null,
    used integer not null default 0,
    check (used <= total)
);
