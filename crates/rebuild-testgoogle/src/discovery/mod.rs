//! Google's descriptions of its APIs: which methods there are, and what goes in and out of them.

mod documents;
mod route;
mod template;

pub(crate) use self::documents::{Catalog, Document};
pub(crate) use self::route::{Method, Route};
