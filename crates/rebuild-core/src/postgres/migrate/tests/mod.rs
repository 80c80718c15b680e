//! Version tables, hand-made after each tool's own and made by real tools.

mod programs;
mod tables;
