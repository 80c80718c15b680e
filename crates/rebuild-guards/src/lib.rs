//! Takes each guard against a hazard out of the program, and looks whether the test that is named for it fails then.
//!
//! A test that passes whether its guard is there or not proves nothing. The list of guards, in `guards/`, says for each
//! which code it is, what a careless change would leave in its place, and which test notices. The sources are copied, every
//! guard in the copy gets a switch that the environment throws, and the copy is built once: the program itself
//! has no such switch.

pub mod copy;
pub mod cut;
pub mod list;
pub mod tests;
pub mod trial;
