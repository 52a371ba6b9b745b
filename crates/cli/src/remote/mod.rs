//! Client of a server that carries commands out.
//!
//! Each area of the API has a file. Requests and answers are the types of `errand-api`; a refusal
//! of the server becomes the `Failure` of the same command on this machine. Deliberately absent:
//! rendering. A command without a server builds nothing of this.

mod actions;
mod agents;
mod answer;
mod catalog;
mod connect;
mod dead_letters;
mod files;
mod follow;
pub(crate) mod input;
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
pub(crate) use files::{Bom, ValueSelection};
pub(crate) use runs::{RemoteChoice, budgets};
pub(crate) use url::Url;
