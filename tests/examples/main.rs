//! The examples, run as their READMEs say; a database with one of everything; and how long a
//! plan and a small rebuild may take.

mod everything;
mod gpu_dev;
mod gpu_dev_cluster;
mod hmpps_refresh;
mod kidney_genetics;
mod quickstart;
mod site;
mod speed;
mod webmev;
#[path = "../../crates/rebuild-testgoogle/examples/webmev/cloud.rs"]
mod webmev_cloud;
mod whatup;
#[path = "../../crates/rebuild-testgoogle/examples/whatup/cloud.rs"]
mod whatup_cloud;
