-- Primary keys, and an index for each foreign key and for the dates.
alter table lineitem add primary key (l_orderkey, l_linenumber);
alter table orders add primary key (o_orderkey);
create index lineitem_part_supplier on lineitem (l_partkey, l_suppkey);
create index lineitem_shipdate on lineitem (l_shipdate);
alter table partsupp add primary key (ps_partkey, ps_suppkey);
create index orders_customer on orders (o_custkey);
create index orders_date on orders (o_orderdate);
alter table customer add primary key (c_custkey);
alter table part add primary key (p_partkey);
create index partsupp_supplier on partsupp (ps_suppkey);
create index customer_nation on customer (c_nationkey);
alter table supplier add primary key (s_suppkey);
create index supplier_nation on supplier (s_nationkey);
alter table nation add primary key (n_nationkey);
alter table region add primary key (r_regionkey);
