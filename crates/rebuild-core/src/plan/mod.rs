//! What would happen, and what would be lost.

mod survey;

pub use survey::{Drift, Survey, TableDrift, ToolFacts};
