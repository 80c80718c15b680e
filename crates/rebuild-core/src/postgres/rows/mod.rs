//! Rows: reading, counting, packing and unpacking them.

pub mod copy_out;
pub mod fingerprint;
pub mod form;
pub mod names;
pub mod options;
pub mod pack;
pub mod scan;
pub mod snapshot;
pub mod tables;
pub mod units;

pub use options::RowOptions;
