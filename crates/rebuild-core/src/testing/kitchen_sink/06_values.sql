-- Values that a careless copy changes.

create table ks.texts (id int primary key, t text, c char(8), v varchar(20), n name, code ks.code, b bytea);
insert into ks.texts (id, t) values
    (1, ''), (2, null), (3, ' '), (4, '\.'), (5, E'\\.\n\\.'), (6, '\N'), (7, '\\N'), (8, E'tab\there'),
    (9, E'line\nfeed'), (10, E'carriage\rreturn'), (11, E'both\r\n'), (12, E'\r'), (13, E'\n'), (14, 'back\slash \'),
    (15, '"quoted", ''single'', `tick`'), (16, 'comma, semi; dollar $$ $1 ${HOME} %s'), (17, E'\x01\x02\x07\x08\x0b\x0c\x1b[31mred\x7f'),
    (18, U&'\FEFFbom'), (19, U&'e\0301 is not \00e9'), (20, U&'\2028\2029\0085\00a0'), (21, '🐘 表 עברית العربية'),
    (22, U&'\+10FFFF\+01F468\200D\+01F469'), (23, 'NULL'), (24, 'null'), (25, '{NULL}'), (26, 'trailing   '), (27, '   leading'),
    (28, '-- comment'), (29, '/* comment'), (30, 'COPY x FROM stdin;'), (31, pg_catalog.repeat('x', 10000));
update ks.texts set c = 'pad', v = 'keeps  ', n = 'name', code = 'AB-' || id, b = '\x' where id < 4;
update ks.texts set c = '', b = '\x00ff5c0a0d092c22275c2e'::bytea where id in (4, 5);
insert into ks.texts (id, b)
select 40, pg_catalog.decode(pg_catalog.string_agg(pg_catalog.lpad(pg_catalog.to_hex(n), 2, '0'), '' order by n), 'hex')
from pg_catalog.generate_series(0, 255) n;

create table ks.toasted (id int primary key, external text, compressed text, bytes bytea);
alter table ks.toasted alter column external set storage external, alter column bytes set storage external;
insert into ks.toasted
select n, (select pg_catalog.string_agg(pg_catalog.md5(n || ':' || i), '') from pg_catalog.generate_series(1, 3000) i),
    pg_catalog.repeat('compress me ', 50000), pg_catalog.decode(pg_catalog.repeat(pg_catalog.md5(n::text), 500), 'hex')
from pg_catalog.generate_series(1, 3) n;

create table ks.numbers (id int primary key, i2 smallint, i4 int, i8 bigint, f4 real, f8 float8, num numeric, scaled numeric(20, 5), cash money);
insert into ks.numbers values
    (1, -32768, -2147483648, -9223372036854775808, '-0', '-0', 'NaN', 'NaN', '-92233720368547758.08'),
    (2, 32767, 2147483647, 9223372036854775807, 'NaN', 'NaN', 1e-200, 0.00001, '92233720368547758.07'),
    (3, 0, 0, 0, 'Infinity', '-Infinity', 0.000, 1, 0),
    (4, 1, 1, 1, 1e-45, 5e-324, 1.10, 1.1, 1.10),
    (5, 1, 1, 1, 3.4028235e38, 1.7976931348623157e308, 1e130, 1.10000, 1),
    (6, 1, 1, 1, 0.1, 0.1, 123456789012345678901234567890.123456789012345678901234567890, 1, 1),
    (7, 1, 1, 1, 16777217, 0.30000000000000004, -0.0, -0.0, 1),
    (8, null, null, null, null, null, null, null, null);
do $$
begin
    if pg_catalog.current_setting('server_version_num')::int >= 140000 then
        insert into ks.numbers (id, num) values (20, 'Infinity'), (21, '-Infinity');
    end if;
end
$$;

create table ks.times (id int primary key, d date, t time, tz timetz, ts timestamp, tstz timestamptz, i interval);
insert into ks.times values
    (1, '4713-01-01 BC', '00:00', '00:00:00+15:59', '4713-01-01 00:00:00 BC', '4713-01-01 00:00:00+00 BC', '-178000000 years'),
    (2, '5874897-12-31', '24:00', '24:00:00-15:59', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '178000000 years'),
    (3, 'infinity', '23:59:59.999999', '12:00:00+05:30', 'infinity', '-infinity', '1 year -2 mons +3 days -04:05:06.000007'),
    (4, '-infinity', '01:02:03', '01:02:03.4+00', '-infinity', 'infinity', '0'),
    (5, '2024-03-04', '12:00', '12:00+01', '2024-03-31 02:30:00', '2024-10-27 02:30:00.1+02', '1 mon'),
    (6, '0001-01-01', '12:00', '12:00+01', '0001-12-31 BC', '1900-01-01 00:00:00+00:17:30', '30 days'),
    (7, null, null, null, null, null, '720:00:00');

create table ks.arrays (id int primary key, i int[], t text[], m ks.mood[], tags ks.tags, addresses ks.address[], b bytea[], j jsonb[], matrix float8[][]);
insert into ks.arrays values
    (1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
    (2, '[-1:1]={1,NULL,3}', array['', null, 'NULL', 'a,b', '{x}', 'q"u\ote', E'n\nl'], array['', 'it''s "great"', '\back', ' spaced , {brace} ']::ks.mood[],
        '{a,b}', array[row('s', null, '2024-01-01')::ks.address, null, row('', 'a"b\c', null)::ks.address], array['\x00'::bytea, '\x5c'],
        array['{"a": [1, null]}'::jsonb], '{{1,2},{-0,NaN}}'),
    (3, '[0:1][5:6]={{1,2},{3,4}}', '{{a,b},{c,d}}', null, null, null, null, null, '{{{1}}}');

create table ks.documents (id int primary key, j json, b jsonb, p jsonpath, v tsvector, q tsquery);
insert into ks.documents values
    (1, '{"a" : 1, "a":2 ,  "b":[ ]}', '{"b": 1.10, "a": "\u00e9\\n", "long": 123456789012345678901234567890}', '$.a[*] ? (@ > 1)', 'a:1A fat:2B,4C ''it''''s'':3', 'fat & (rat | !cat:*)'),
    (2, 'null', 'null', 'strict $', '', ''),
    (3, '"\u0000 stays text in json"', '[]', null, pg_catalog.to_tsvector('pg_catalog.english', 'the quick foxes'), null),
    (4, null, null, null, null, null);

create table ks.others (
    id int primary key, u uuid, ip inet, net cidr, mac macaddr, mac8 macaddr8, bits bit(5), vbits bit varying, flag boolean,
    pt point, ln line, seg lseg, bx box, pth path, poly polygon, circ circle, lsn pg_lsn, tid tid, xid xid, ch "char",
    ir int4range, nr numrange, tr tstzrange, fr ks.float_range, tx ks.text_range, mood ks.mood, addr ks.address, nest ks.nested,
    home ks.home, even ks.small_even, tok ks.token default 9, cls regclass, typ regtype, o oid);
insert into ks.others (id, u, ip, net, mac, mac8, bits, vbits, flag, pt, ln, seg, bx, pth, poly, circ, lsn, tid, xid, ch,
    ir, nr, tr, fr, tx, mood, addr, nest, home, even, cls, typ, o) values
    (1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '192.168.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '10101', '', true,
     '(-0,1e-300)', '{1,-1,0}', '[(0,0),(1,1)]', '(1,1),(0,0)', '((0,0),(1,1))', '((0,0),(1,1),(1,0))', '<(0,0),5>', 'FFFFFFFF/FFFFFFFF', '(42,7)', '4294967295', '\',
     'empty', '(,1.50]', '["2024-01-01 00:00:00+00",)', '[-0,NaN)', '["a,b","c""d\\e")', 'sad', row('main "street"', '1,2', null),
     row(row('', null, '2024-01-01'), array['sad', null]::ks.mood[], 1.5), row('home', '', null), 4, 'ks."select"', 'ks.mood', 4294967295),
    (2, null, '::ffff:1.2.3.4', '2001:db8::/32', null, null, null, '1010101010101010', false,
     null, null, null, null, '[(0,0),(1,1)]', null, null, '0/0', null, null, '',
     '[1,10)', '(,)', null, null, '[,]', 'größer', row(null, null, null), null, null, 998, null, 'int4[]', 0);

do $$
declare
    columns text;
begin
    select pg_catalog.string_agg(pg_catalog.format('c%s int default %s', n, n), ', ') into columns
    from pg_catalog.generate_series(1, 300) n;
    execute 'create table ks.wide (' || columns || ')';
    insert into ks.wide default values;
    insert into ks.wide (c1, c300) values (null, null);
    if exists (select from pg_catalog.pg_type where oid = 'xml'::pg_catalog.regtype) then
        begin
            create table ks.xmls (id int, x xml);
            insert into ks.xmls values (1, '<a b="1">t&amp;<!-- c --></a>'), (2, 'content <b/> only'), (3, null);
        exception when feature_not_supported then
            -- A server built without libxml has the type and refuses its values.
            null;
        end;
    end if;
end
$$;
