//! Admission of requests: open servers, rate limits, security headers.
//!
//! Deliberately absent: visibility of objects, which each handler checks by namespace.

mod cross_site;
mod headers;
mod layer;
mod line_end;
mod open;
mod rate;

pub use open::{ListenOpen, Lock};

pub(crate) use layer::outermost;
pub(crate) use rate::{Rates, Whose};
