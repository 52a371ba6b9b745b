//! Admission of requests: open servers, rate limits, security headers.
//!
//! Deliberately absent: visibility of objects, which each handler checks by namespace.

mod cross_site;
mod headers;
mod layer;
mod line_end;

pub(crate) use layer::outermost;
