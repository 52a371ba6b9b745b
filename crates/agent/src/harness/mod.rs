//! Seam between an attempt and the way in which errand drives its agent: the trait [`Harness`].
//!
//! A harness decides how stdin and stdout are used, speaks the agent's protocol if it has one, and
//! says how the agent ended. [`CommandHarness`] is the first implementation; `harness_conformance!`
//! of `errand-testkit` tests every one of them.
//!
//! Deliberately absent: starting, stopping and freezing, which are the target's, and records, which
//! the [`Backend`](crate::agent_api::Backend) keeps.

mod command;
mod contract;

pub use command::CommandHarness;
pub use contract::{AgentFailure, Ended, Harness, StreamUse};
