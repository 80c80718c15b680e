//! What tests of this crate, and of crates that implement its traits, share.

#[cfg(feature = "postgres")]
mod client;
pub mod conformance;
#[cfg(all(test, feature = "postgres"))]
mod extension;
mod full_store;
#[cfg(feature = "postgres")]
pub mod fuzz;
#[cfg(all(test, feature = "cloudsql"))]
pub(crate) mod google;
#[cfg(all(test, any(feature = "cloudsql", feature = "k8s")))]
pub(crate) mod killer;
#[cfg(feature = "postgres")]
mod kitchen_sink;
#[cfg(all(test, feature = "postgres", feature = "k8s"))]
pub(crate) mod kubernetes;
#[cfg(feature = "postgres")]
mod locks;
#[cfg(feature = "postgres")]
mod process;
mod progress;
#[cfg(feature = "postgres")]
mod proxy;
mod python;
mod scripts;
#[cfg(feature = "postgres")]
mod server;
#[cfg(feature = "postgres")]
mod sessions;
pub mod sim;
pub mod survey;

#[cfg(feature = "postgres")]
pub use client::{client, dump, dump_by, psql};
#[cfg(all(test, feature = "postgres"))]
pub(crate) use extension::EXTENSION;
pub use full_store::FullStore;
#[cfg(feature = "postgres")]
pub use kitchen_sink::{KITCHEN_SINK, load_kitchen_sink};
#[cfg(feature = "postgres")]
pub use locks::wait_for_lock;
#[cfg(feature = "postgres")]
pub use process::process_ended;
pub use progress::progress_told;
#[cfg(feature = "postgres")]
pub use proxy::{Direction, Network, Trouble};
pub use python::python_env;
pub use scripts::programs_of;
#[cfg(feature = "postgres")]
pub use server::{
    CLIENT_BIN, SERVER_BIN, client_bin_dir, cluster, cluster_options, guarded_cluster,
    scratch_database,
};
#[cfg(feature = "postgres")]
pub use sessions::end_sessions;
