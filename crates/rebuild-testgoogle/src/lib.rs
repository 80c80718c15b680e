//! Google Cloud APIs inside the process of a test.
#![allow(dead_code)]
mod discovery;
mod validate;
