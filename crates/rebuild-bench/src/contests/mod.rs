//! What is measured.

pub(crate) mod backup;
pub(crate) mod copy;
pub(crate) mod memory;
pub(crate) mod python;
pub(crate) mod rebuild;
pub(crate) mod restore;
pub(crate) mod small_tables;
pub(crate) mod splitting;
pub(crate) mod verify;
