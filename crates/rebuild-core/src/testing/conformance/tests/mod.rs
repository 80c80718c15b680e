mod faulty;
#[cfg(feature = "postgres")]
mod postgres;
mod sim;
