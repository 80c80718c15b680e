create table if not exists feed (id integer primary key, name text not null);
create table if not exists article (
    id bigint primary key,
    feed_id integer not null references feed,
    url text not null unique,
    title text not null,
    language text not null,
    published_on date not null
);
create index if not exists article_by_day on article (published_on);
