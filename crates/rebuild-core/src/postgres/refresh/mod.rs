//! Refresh: the rows of another database in a new one beside the target.

mod carried;
mod mask;
mod migrations;
mod preserve;
mod privileges;
mod put_back;
mod references;
mod rows;
mod rules;
mod source;
mod subset;
mod survey;

pub use migrations::CatchUp;
pub(crate) use preserve::Preserved;
pub use put_back::PgPreserver;
pub use rows::PgRefresh;
pub(crate) use rules::RefreshRules;
pub use source::Source;
pub use survey::SourceSurveyor;
pub(in crate::postgres) use survey::Surveyed;
