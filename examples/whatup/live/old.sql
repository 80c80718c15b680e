-- The database as it has drifted: no languages, half of the articles, and some that no archive has.
create table feed (id integer primary key, name text not null);
create table article (
    id bigint primary key,
    feed_id integer not null references feed,
    url text not null,
    title text not null,
    published_on date not null
);
insert into feed select n, 'feed ' || n from generate_series(1, 8) n;
insert into article
select feed * 1000 + n, feed, 'https://feed' || feed || '.example/' || n, 'Article ' || n,
       date '2025-01-01' + n
  from generate_series(1, 8) feed, generate_series(150, 300) n;
