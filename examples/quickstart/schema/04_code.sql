create function log_reservation() returns trigger language plpgsql as $$
begin
    insert into public.reservation_log (reservation_id, happened)
    values (new.id, lower(tg_op) || case when new.cancelled then ' (cancelled)' else '' end);
    return new;
end
$$;

create trigger reservation_logged
    after insert or update on reservation
    for each row execute function log_reservation();

create materialized view team_usage as
select p.team,
       count(*) as reservations,
       sum(extract(epoch from r.ends_at - r.starts_at) / 3600)::bigint as hours
  from reservation r
  join person p on p.id = r.person_id
 where not r.cancelled
 group by p.team;

create unique index team_usage_team on team_usage (team);
