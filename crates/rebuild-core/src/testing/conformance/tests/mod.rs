mod command;
mod faulty;
#[cfg(feature = "k8s")]
mod kubernetes;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod put_back;
#[cfg(feature = "postgres")]
mod restored;
mod sim;
#[cfg(feature = "postgres")]
mod staged;
mod store;
