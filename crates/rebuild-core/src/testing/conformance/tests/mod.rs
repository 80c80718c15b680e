#[cfg(feature = "postgres")]
mod postgres;
mod sim;
