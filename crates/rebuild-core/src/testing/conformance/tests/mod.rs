mod command;
mod faulty;
#[cfg(feature = "postgres")]
mod postgres;
mod sim;
#[cfg(feature = "postgres")]
mod staged;
