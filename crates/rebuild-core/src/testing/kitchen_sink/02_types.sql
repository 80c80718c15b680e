-- Types and what belongs to them: domains, enums, composites, ranges, a base type with operators,
-- operator classes and casts, collations, text search.

create type ks.mood as enum ('sad', 'ok', 'it''s "great"', 'größer', '', ' spaced , {brace} ', '\back');
-- Values added within a transaction cannot be used in it before version 17, so no row has these two.
alter type ks.mood add value 'worst' before 'sad';
alter type ks.mood add value 'between' after 'ok';
alter type ks.mood rename value 'ok' to 'fine';
alter type ks.mood owner to ks_owner;
comment on type ks.mood is 'label order differs from creation order';

create type ks.address as (street text collate "C", "zip code" varchar(10), "né" date);
comment on type ks.address is 'a composite';
comment on column ks.address."zip code" is 'a column of a composite';
create type ks.nested as (inner_value ks.address, moods ks.mood[], amount numeric(12, 3));

create type ks.float_range as range (subtype = float8, subtype_diff = float8mi);
create type ks.text_range as range (subtype = text, collation = "C");
comment on type ks.float_range is 'a range';
create type ks.shell_only;

create function ks.is_even(n int) returns boolean language sql immutable strict
    as 'select n % 2 = 0';
create domain ks.even as int constraint must_be_even check (ks.is_even(value));
create domain ks.small_even as ks.even default 4 not null check (value < 1000);
create domain ks.code as text collate "C" constraint "shape of a code" check (value ~ '^[A-Z]{2}-\d+$');
create domain ks.tags as text[] check (pg_catalog.array_length(value, 1) < 10);
create domain ks.home as ks.address check (value is null or (value).street is not null);
comment on domain ks.code is 'two letters, a dash, digits';
comment on constraint "shape of a code" on domain ks.code is 'a constraint of a domain';
alter domain ks.even owner to ks_owner;

-- A base type over the server's own input and output of int4.
create type ks.token;
create function ks.token_in(cstring) returns ks.token language internal immutable strict as 'int4in';
create function ks.token_out(ks.token) returns cstring language internal immutable strict as 'int4out';
create type ks.token (input = ks.token_in, output = ks.token_out, like = int4, category = 'N', default = '7');
comment on type ks.token is 'a base type';

create function ks.token_eq(ks.token, ks.token) returns boolean language internal immutable strict as 'int4eq';
create function ks.token_ne(ks.token, ks.token) returns boolean language internal immutable strict as 'int4ne';
create function ks.token_lt(ks.token, ks.token) returns boolean language internal immutable strict as 'int4lt';
create function ks.token_le(ks.token, ks.token) returns boolean language internal immutable strict as 'int4le';
create function ks.token_gt(ks.token, ks.token) returns boolean language internal immutable strict as 'int4gt';
create function ks.token_ge(ks.token, ks.token) returns boolean language internal immutable strict as 'int4ge';
create function ks.token_cmp(ks.token, ks.token) returns int language internal immutable strict as 'btint4cmp';
create function ks.token_hash(ks.token) returns int language internal immutable strict as 'hashint4';
create operator ks.= (function = ks.token_eq, leftarg = ks.token, rightarg = ks.token,
    commutator = operator(ks.=), negator = operator(ks.<>), restrict = eqsel, join = eqjoinsel, hashes, merges);
create operator ks.<> (function = ks.token_ne, leftarg = ks.token, rightarg = ks.token,
    commutator = operator(ks.<>), negator = operator(ks.=), restrict = neqsel, join = neqjoinsel);
create operator ks.< (function = ks.token_lt, leftarg = ks.token, rightarg = ks.token,
    commutator = operator(ks.>), negator = operator(ks.>=), restrict = scalarltsel, join = scalarltjoinsel);
create operator ks.<= (function = ks.token_le, leftarg = ks.token, rightarg = ks.token,
    commutator = operator(ks.>=), negator = operator(ks.>), restrict = scalarlesel, join = scalarlejoinsel);
create operator ks.> (function = ks.token_gt, leftarg = ks.token, rightarg = ks.token,
    commutator = operator(ks.<), negator = operator(ks.<=), restrict = scalargtsel, join = scalargtjoinsel);
create operator ks.>= (function = ks.token_ge, leftarg = ks.token, rightarg = ks.token,
    commutator = operator(ks.<=), negator = operator(ks.<), restrict = scalargesel, join = scalargejoinsel);
comment on operator ks.= (ks.token, ks.token) is 'an operator';
create operator class ks.token_ops default for type ks.token using btree as
    operator 1 ks.<, operator 2 ks.<=, operator 3 ks.=, operator 4 ks.>=, operator 5 ks.>,
    function 1 ks.token_cmp(ks.token, ks.token);
create operator family ks.token_hash_family using hash;
create operator class ks.token_hash_ops default for type ks.token using hash family ks.token_hash_family as
    operator 1 ks.=, function 1 ks.token_hash(ks.token);
comment on operator class ks.token_ops using btree is 'an operator class';
comment on operator family ks.token_hash_family using hash is 'an operator family';
create operator family ks.loose_family using btree;
alter operator family ks.loose_family using btree add
    operator 1 pg_catalog.< (int4, int8), function 1 (int4, int8) pg_catalog.btint48cmp(int4, int8);

create cast (ks.token as int4) without function as implicit;
create cast (int4 as ks.token) without function as assignment;
create function ks.mood_rank(ks.mood) returns int language sql immutable strict
    as 'select pg_catalog.array_position(pg_catalog.enum_range(null::ks.mood), $1)';
create cast (ks.mood as int) with function ks.mood_rank(ks.mood);
create cast (ks.address as varchar) with inout as assignment;
comment on cast (ks.mood as int) is 'a cast';
create function ks.join_text(text, text) returns text language sql immutable
    as $$select pg_catalog.concat_ws('\|', $1, $2)$$;
create operator ks.||/ (function = ks.join_text, leftarg = text, rightarg = text);
create function ks.twice(int8) returns int8 language sql immutable strict as 'select $1 * 2';
create operator ks.@#@ (function = ks.twice, rightarg = int8);

create collation ks.bytewise from "C";
create collation ks.posix from "POSIX";
comment on collation ks.bytewise is 'a collation';
do $$
begin
    if exists (select from pg_catalog.pg_collation where collprovider = 'i') then
        create collation ks.ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        create table ks.icu_names (
            name text collate ks.ignore_case primary key,
            sorted text collate pg_catalog."und-x-icu"
        );
        insert into ks.icu_names values ('Anna', 'Ünal'), ('bERTA', 'ärger'), ('ζ', 'Zebra');
        create index on ks.icu_names (sorted desc);
    end if;
end
$$;
create conversion ks.latin_to_utf for 'LATIN1' to 'UTF8' from pg_catalog.iso8859_1_to_utf8;
comment on conversion ks.latin_to_utf is 'a conversion';

create text search parser ks.parser (start = pg_catalog.prsd_start, gettoken = pg_catalog.prsd_nexttoken,
    end = pg_catalog.prsd_end, lextypes = pg_catalog.prsd_lextype, headline = pg_catalog.prsd_headline);
create text search template ks.template (init = pg_catalog.dsimple_init, lexize = pg_catalog.dsimple_lexize);
create text search dictionary ks.dictionary (template = ks.template, accept = false);
create text search configuration ks.config (parser = ks.parser);
alter text search configuration ks.config add mapping for asciiword, word with ks.dictionary, pg_catalog.english_stem;
create text search configuration ks."copied config" (copy = pg_catalog.english);
comment on text search parser ks.parser is 'a parser';
comment on text search template ks.template is 'a template';
comment on text search dictionary ks.dictionary is 'a dictionary';
comment on text search configuration ks.config is 'a configuration';

create transform for int language sql (
    from sql with function pg_catalog.prsd_lextype(internal), to sql with function pg_catalog.int4recv(internal));
comment on transform for int language sql is 'a transform';
create access method ks_heap type table handler pg_catalog.heap_tableam_handler;
comment on access method ks_heap is 'an access method';
