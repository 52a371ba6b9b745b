//! A server that carries commands out, and how it is spoken to.
//!
//! One file per area of its API. Requests and answers are the types of `errand-api`; what the server
//! refuses becomes the same `Failure` that a command on this machine would have ended with.
//! Deliberately absent: anything that is shown. A command without a server builds nothing of this.

mod agents;
mod answer;
mod connect;
mod dead_letters;
mod files;
mod follow;
mod journals;
mod log;
mod patience;
mod people;
mod run_reads;
mod runs;
mod sessions;
mod triggers;
mod url;

pub(crate) use agents::Agent;
pub(crate) use connect::{Remote, Target};
pub(crate) use files::Bom;
pub(crate) use runs::budgets;
pub(crate) use url::Url;
