//! Policies: decisions about the calls of agents, by rules and by programs in Rego.
//!
//! [`Policy`] is one policy of the catalog, or the rules of an agent file. It decides about a
//! [`PolicyCall`]; [`PolicyDecision::combine`] has the verdict of several policies. Rego is executed
//! by the crate `regorus`, which nothing else here names: version 0.11 is the last one without the
//! crates of a program verifier, which would double what is compiled.
//!
//! Deliberately absent: journals, approvals, processes and the network. A program in Rego can neither
//! read files nor send requests, and it ends after [`TIME_LIMIT`]. An external policy is only described
//! here: the engine asks it, and [`Policy::with_answer`] combines its answer with the rest.

mod call;
mod decision;
mod obligation;
mod pattern;
mod policy;
mod recorded;
mod rego;
mod rules;

pub use call::PolicyCall;
pub use decision::{PolicyDecision, PolicyVerdict};
pub use errand_api::agent_file::PolicyHook;
pub use obligation::Obligations;
pub use policy::Policy;
pub use recorded::RecordedCalls;
pub use rego::{RegoInvalid, TIME_LIMIT};
pub use rules::IdleToolRule;
