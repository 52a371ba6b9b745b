//! Policies of a run: those of the catalog that its agent names, and the rules of its agent file.
//!
//! They decide before the run is admitted (`trigger`), and about the calls of its agent
//! (`supervise/backend/policy`). `errand-policy` has the decision itself.

mod decide;
mod error;
mod trigger;

pub(crate) use self::decide::{DecidedCall, RunPolicies};
pub use self::error::{Error, PolicyDenied, PolicyInvalid};
pub(crate) use self::trigger::decide_trigger;
