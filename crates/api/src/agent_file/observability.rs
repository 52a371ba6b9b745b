//! Extent of the record of model calls.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sampling::Sampling;
use super::scalar::SamplingShare;

/// Extent of the record of the agent's runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Observability {
    /// Model calls of which the bodies of request and answer are kept: `full` if left out, `none`,
    /// `errors` (requests of calls that failed), or a share such as `0.1`. Usage, costs and digests are
    /// always kept. A call whose answer is not kept is made again by recovery, and a run with such calls
    /// is not replayed strictly.
    #[schemars(with = "SamplingShare")]
    pub sampling: Sampling,
}

impl Observability {
    /// Returns true if nothing is set.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
