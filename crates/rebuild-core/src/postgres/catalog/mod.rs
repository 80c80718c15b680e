//! A normalised description of every object of a database, for comparing two of them.

mod attached;
mod columns;
mod difference;
mod foreign;
mod fragments;
mod relations;
mod replication;
mod routines;
mod schemas;
mod snapshot;
mod text_search;
mod types;

pub use snapshot::{CatalogObject, CatalogSnapshot};

#[cfg(test)]
mod tests;
