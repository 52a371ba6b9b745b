//! The HTTP listener of a service: a request becomes a wake, and what became of the wake the answer.
//!
//! Everything that a client can make grow has a bound ([`limit`]), and nothing that a client does
//! ends the service. Deliberately absent: TLS, routing, anything an application server does; what
//! the wake means is the [`Ingress`]'s business.

mod answer;
mod bind;
mod body;
mod check;
mod connection;
mod ingress;
pub mod limit;
pub(crate) mod mask;
mod serve;

pub use bind::{Error, Listener};
pub use ingress::{Ingress, IngressBody, IngressOutcome, IngressRequest};
