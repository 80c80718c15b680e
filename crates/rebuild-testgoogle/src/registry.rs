//! Which handler answers which method.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use futures::future::{BoxFuture, FutureExt};

use crate::call::{Call, Result};
use crate::discovery::Catalog;

type Handler = Arc<dyn Fn(Call) -> BoxFuture<'static, Result> + Send + Sync>;

/// The handlers, by the method's id.
#[derive(Default)]
pub(crate) struct Registry(RwLock<HashMap<String, Handler>>);

impl Registry {
    /// Lets a function answer a method, with what the service has of state.
    ///
    /// # Panics
    /// No API has a method with this id.
    pub(crate) fn on<S, F>(&self, method: &str, service: &Arc<S>, handler: fn(Arc<S>, Call) -> F)
    where
        S: Send + Sync + 'static,
        F: Future<Output = Result> + Send + 'static,
    {
        let service = service.clone();
        self.add(method, move |call| handler(service.clone(), call).boxed());
    }

    /// Lets a closure answer a method, in the place of what answered it so far.
    ///
    /// # Panics
    /// No API has a method with this id.
    pub(crate) fn add(
        &self,
        method: &str,
        handler: impl Fn(Call) -> BoxFuture<'static, Result> + Send + Sync + 'static,
    ) {
        assert!(Catalog::get().has(method), "no API has a method {method}");
        let mut handlers = self.0.write().expect("handlers");
        handlers.insert(method.to_owned(), Arc::new(handler));
    }

    pub(crate) fn clear(&self) {
        self.0.write().expect("handlers").clear();
    }

    pub(crate) fn find(&self, method: &str) -> Option<Handler> {
        self.0.read().expect("handlers").get(method).cloned()
    }
}
