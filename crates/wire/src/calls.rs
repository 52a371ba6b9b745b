//! Description of a model call, from its request.

use errand_model::Digest;

use crate::format::WireFormat;

/// A call of a model as its request describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireCall {
    /// Format of the request and of its answer.
    pub format: WireFormat,
    /// Model that is asked for; `None`: the request names none, or is opaque.
    pub model: Option<String>,
    /// Service tier that is asked for, in the provider's word.
    pub service_tier: Option<String>,
    /// The answer is to be streamed.
    pub is_stream: bool,
    /// The most tokens of each answer, where the request bounds them.
    pub max_output_tokens: Option<u64>,
    /// Answers that are asked for at once; at least 1.
    pub answers: u64,
    /// Upper estimate of the tokens of the input: a quarter of the bytes of its texts.
    pub input_tokens_estimate: u64,
    /// Part of the input is kept by the provider, so that the estimate does not cover it.
    pub continues_stored: bool,
    /// Names of the tools that the model may use, in the order of the request.
    pub tools_offered: Vec<String>,
    /// Results of tools that the request gives, in its order.
    pub tool_results: Vec<GivenToolResult>,
    /// Digest of the canonical request. Two requests of one digest ask for the same.
    pub digest: Digest,
}

/// Result of a tool that a request gives to the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenToolResult {
    /// Id of the tool use.
    pub id: Option<String>,
    /// Name of the tool, where the format repeats it.
    pub name: Option<String>,
    /// The tool failed, where the format says so.
    pub is_error: Option<bool>,
    /// The result follows the model's last answer; others are repeated from earlier requests.
    pub is_new: bool,
}

impl WireCall {
    /// Upper estimate of the output of all answers; `None`: the request does not bound it.
    pub fn output_tokens_bound(&self) -> Option<u64> {
        self.max_output_tokens.map(|tokens| tokens.saturating_mul(self.answers))
    }

    pub(crate) fn new(format: WireFormat, digest: Digest) -> Self {
        Self {
            format,
            model: None,
            service_tier: None,
            is_stream: false,
            max_output_tokens: None,
            answers: 1,
            input_tokens_estimate: 0,
            continues_stored: false,
            tools_offered: Vec::new(),
            tool_results: Vec::new(),
            digest,
        }
    }
}
