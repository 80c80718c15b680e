create extension if not exists hstore;

create type reservation_state as enum ('pending', 'active', 'finished', 'failed');
