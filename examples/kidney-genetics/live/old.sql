-- The database as it stands before: grown by hand, with integer ids and an old migration state.
create table alembic_version (version_num varchar(32) not null primary key);
insert into alembic_version values ('f3a91c0de001');

create table gene (id serial primary key, symbol text not null, hgnc_id text);
insert into gene (symbol, hgnc_id) select 'OLD' || n, 'HGNC:' || n from generate_series(1, 200) n;

create table annotation (
    id serial primary key,
    gene_id integer references gene (id),
    source text,
    payload json
);
insert into annotation (gene_id, source, payload)
select 1 + n % 200, 'clinvar', '{}' from generate_series(1, 400) n;
