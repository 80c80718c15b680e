//! The `rebuild` command.
fn main() {}
