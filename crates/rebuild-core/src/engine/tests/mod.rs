//! The engine against a simulated server: every step, every boundary, every repeat.

mod purge;
mod sweep;
mod world;
