//! The door: who is let in, how often, and what every answer says of itself.
//!
//! Deliberately absent: what a caller may see, which each handler asks by namespace.

mod cross_site;
mod headers;
mod layer;
mod line_end;
mod open;
mod rate;

pub use open::{ListenOpen, Lock};

pub(crate) use layer::outermost;
pub(crate) use rate::{Rates, Whose};
