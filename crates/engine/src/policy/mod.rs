//! Policies of a run: those of the catalog that its agent names, and the rules of its agent file.
//!
//! Policies decide whether the run is admitted (`trigger`), and whether its agent may make a call
//! (`supervise/backend/policy`). The crate `errand-policy` evaluates rules and programs, `external` asks
//! programs and services.

mod decide;
mod error;
mod external;
mod trigger;

pub(crate) use self::decide::{DecidedCall, RunPolicies};
pub use self::error::{Error, PolicyDenied, PolicyInvalid};
pub use self::external::ExternalPolicies;
pub(crate) use self::trigger::decide_trigger;
