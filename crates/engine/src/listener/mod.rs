//! The HTTP listener of a service: a request becomes a wake, and the wake's outcome becomes the
//! response.
//!
//! Everything that a client can make grow has a bound ([`limit`]), and no client can end the
//! service. Deliberately absent: TLS, routing and other tasks of an application server. The
//! [`Ingress`] defines the effect of a wake.

mod answer;
mod bind;
mod body;
mod check;
mod connection;
mod error;
mod ingress;
pub mod limit;
pub(crate) mod mask;
mod serve;

pub use bind::BoundListener;
pub use error::Error;
pub use ingress::{Ingress, IngressBody, IngressOutcome, IngressRequest};
