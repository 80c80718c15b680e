//! The engine against a simulated server: every step, every boundary, every repeat.

mod full;
mod guards;
mod mocks;
mod order;
mod programs;
mod purge;
mod report;
mod sweep;
mod world;
