//! Refresh: the rows of another database in a new one beside the target.

mod references;
