alter table analysis add column state text not null default 'done';
alter table analysis alter column state drop default;
