create index reservation_by_gpu on reservation (gpu_id, starts_at);
create index reservation_open on reservation (person_id) where not cancelled;
create index reservation_log_by_reservation on reservation_log (reservation_id);
