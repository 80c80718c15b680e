//! The database of TPC-H.

use std::fmt::Display;
use std::io::Write;

use rebuild_core::error::Result;
use tpchgen::csv::{
    CustomerCsv, LineItemCsv, NationCsv, OrderCsv, PartCsv, PartSuppCsv, RegionCsv, SupplierCsv,
};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};

use crate::server::Server;

/// The tables.
pub(crate) const TABLES: &str = include_str!("../schema/tpch.sql");
/// Their primary keys and indexes.
pub(crate) const INDEXES: &str = include_str!("../schema/tpch_indexes.sql");
/// Their foreign keys.
pub(crate) const FOREIGN_KEYS: &str = include_str!("../schema/tpch_foreign_keys.sql");

/// The names of the tables, the largest first.
pub(crate) const NAMES: [&str; 8] = [
    "lineitem", "orders", "partsupp", "customer", "part", "supplier", "nation", "region",
];

/// Makes `database` with all rows, indexes and keys. At `scale` 1 it takes about 1.7 GB.
///
/// # Errors
/// The server said no.
pub(crate) fn make(server: &Server, database: &str, scale: f64) -> Result<()> {
    server.fresh(database)?;
    server.run(database, &[TABLES])?;
    let load = |table: &str| {
        server.load(database, table, |out| match table {
            "lineitem" => lines(
                out,
                LineItemGenerator::new(scale, 1, 1)
                    .iter()
                    .map(LineItemCsv::new),
            ),
            "orders" => lines(
                out,
                OrderGenerator::new(scale, 1, 1).iter().map(OrderCsv::new),
            ),
            "partsupp" => lines(
                out,
                PartSuppGenerator::new(scale, 1, 1)
                    .iter()
                    .map(PartSuppCsv::new),
            ),
            "customer" => lines(
                out,
                CustomerGenerator::new(scale, 1, 1)
                    .iter()
                    .map(CustomerCsv::new),
            ),
            "part" => lines(
                out,
                PartGenerator::new(scale, 1, 1).iter().map(PartCsv::new),
            ),
            "supplier" => lines(
                out,
                SupplierGenerator::new(scale, 1, 1)
                    .iter()
                    .map(SupplierCsv::new),
            ),
            "nation" => lines(out, NationGenerator::default().iter().map(NationCsv::new)),
            _ => lines(out, RegionGenerator::default().iter().map(RegionCsv::new)),
        })
    };
    std::thread::scope(|scope| {
        let largest = scope.spawn(|| load(NAMES[0]));
        for table in &NAMES[1..] {
            load(table)?;
        }
        largest
            .join()
            .map_err(|_| rebuild_core::Error::internal("a thread ended early"))?
    })?;
    server.run(database, &[INDEXES, FOREIGN_KEYS, "vacuum analyze"])?;
    server.settle()
}

fn lines<T: Display>(out: &mut dyn Write, rows: impl Iterator<Item = T>) -> std::io::Result<()> {
    for row in rows {
        writeln!(out, "{row}")?;
    }
    Ok(())
}
