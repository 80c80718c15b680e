//! Steps that run a program: a migrator, a pipeline, a service manager, any command of the spec.
//!
//! A program is run without a shell, in a process group of its own that is ended as a whole: at
//! its deadline, when the operator stops the run, when nobody waits for it any more, and, for
//! what a program leaves behind, once it has exited. A service that must outlive the command that
//! starts it therefore leaves the group, as a service manager or `setsid` makes it do.

mod group;
mod output;
mod percent;
mod run;

pub use run::{Finished, Invocation, run, run_ok};
