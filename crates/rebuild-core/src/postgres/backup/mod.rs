//! Backups: taking, listing, checking and removing them.

pub mod layout;
pub mod manifest;

pub use manifest::{
    ChunkEntry, ColumnEntry, FORMAT, FileEntry, LargeObjectEntry, Manifest, MatviewEntry,
    SequenceEntry, TableEntry,
};
