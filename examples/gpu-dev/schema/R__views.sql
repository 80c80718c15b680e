create or replace view gpu_free as
select gpu_type, total - used as free from availability;
