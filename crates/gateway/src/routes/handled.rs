//! Handlers with the names of their routes.

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};

use crate::Gateway;

/// Attaches a handler to a route.
pub(crate) type Attach = Box<dyn FnOnce(MethodFilter) -> MethodRouter<Gateway> + Send>;

/// A handler of a route in the table.
pub(crate) struct Handled {
    /// Name of the route in the table.
    pub(crate) id: &'static str,
    /// Attaches it to a method router.
    pub(crate) attach: Attach,
}

/// Pairs a handler with the name of its route.
pub(crate) fn handled<H, T>(id: &'static str, handler: H) -> Handled
where
    H: Handler<T, Gateway>,
    T: 'static,
{
    Handled { id, attach: Box::new(move |method| on(method, handler)) }
}
