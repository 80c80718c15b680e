//! Rows: reading, counting, packing and unpacking them.

pub(crate) mod columns;
pub(crate) mod copy_out;
pub(crate) mod fingerprint;
pub(crate) mod form;
pub(crate) mod moment;
pub(crate) mod names;
mod options;
pub(crate) mod pack;
pub(crate) mod picked;
pub(crate) mod scan;
pub(crate) mod shape;
pub(crate) mod snapshot;
pub(crate) mod tables;
pub(crate) mod units;

pub use options::RowOptions;
pub use shape::TypeShape;
