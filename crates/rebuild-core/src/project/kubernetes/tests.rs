//! Rebuilds of a database in a cluster.

mod rights;
mod trouble;
mod whole;

use super::*;
use crate::journal::Ending;

use crate::testing::kubernetes::World;

#[test]
fn every_database_has_a_lease_of_its_own() {
    assert_eq!(lease_name("app").len(), "rebuild-app-".len() + 8);
    assert_ne!(lease_name("App"), lease_name("app"));
    assert!(lease_name("ünïcode db!").starts_with("rebuild-ncodedb-"));
    assert!(lease_name(&"x".repeat(63)).len() < 63);
}
