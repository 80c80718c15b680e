//! Ending the sessions of others.

/// SQL that ends the other sessions in the database that it is run in whose row of `pg_stat_activity` meets
/// `condition`, and is done when they are gone. A `pg_terminate_backend` that waits came with PostgreSQL 14.
pub fn end_sessions(condition: &str) -> String {
    format!(
        "do $end$
         declare
           ended int4[];
         begin
           select pg_catalog.array_agg(pid) into ended from pg_catalog.pg_stat_activity
            where datname = pg_catalog.current_database() and pid <> pg_catalog.pg_backend_pid()
              and ({condition});
           perform pg_catalog.pg_terminate_backend(pid) from pg_catalog.unnest(ended) as pid;
           for waited in 1..1000 loop
             perform pg_catalog.pg_stat_clear_snapshot();
             if not exists (select from pg_catalog.pg_stat_activity where pid = any (ended)) then
               return;
             end if;
             perform pg_catalog.pg_sleep(0.01);
           end loop;
           raise 'sessions do not end';
         end
         $end$"
    )
}
