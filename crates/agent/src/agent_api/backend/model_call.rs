//! Backend of the calls that an agent makes through the model gateway.

use std::fmt;

use async_trait::async_trait;
use errand_api::agent_protocol::Reserve;
use errand_model::Digest;
use errand_model::event::Failure;
use serde_json::{Map, Value};

use super::{RefusedCall, StepCall, StepCallResult};
use crate::agent_api::Refusal;

/// Answers the model gateway. `Ok` means that the call's effect is durable.
///
/// A model call is a step. Values come from the agent and from providers and may contain secrets:
/// the backend masks them.
#[async_trait]
pub trait ModelCallBackend {
    /// Returns true if policies look into requests to models.
    fn sees_requests(&self) -> bool {
        false
    }

    /// Asks the policies about a request, before its call is begun, and waits while a person is
    /// asked. Returns the body in its place, if a policy changed it. A call whose end is recorded is
    /// not asked about.
    ///
    /// # Errors
    ///
    /// The refusal of the call.
    async fn permit_request(&self, _asked: AskedModel<'_>) -> Result<Option<Value>, Refusal> {
        Ok(None)
    }

    /// Begins a model call that the policies permit, before its provider is called: reserves its part
    /// of the budget and records the request; or returns the recorded end of the call.
    ///
    /// # Errors
    ///
    /// The refusal of the call. Nothing is reserved or begun then.
    async fn begin_model_call(&self, call: ModelCallStart) -> Result<ModelCallBegun, Refusal>;

    /// Records a failed try of a model call that another try is to follow, settles the reservation
    /// of the failed one, and reserves a part of the budget for the next. Returns that reservation.
    ///
    /// # Errors
    ///
    /// The refusal of the next try; the failed one is recorded then, if the journal can be written.
    async fn fall_back(&self, failed: ModelTryFailed) -> Result<String, Refusal>;

    /// Records the end of a model call with its usage in one commit, and settles its reservation.
    ///
    /// # Errors
    ///
    /// If nothing was recorded.
    async fn end_model_call(&self, end: ModelCallEnd) -> Result<(), Refusal>;

    /// Records that a gateway refused a call before it was a step. A client that repeats such a call does
    /// not fill the journal: repetitions are counted.
    async fn note_refusal(&self, _refused: RefusedCall) {}

    /// Returns true if a request may have to carry a text of errand's own.
    fn may_instruct(&self) -> bool {
        false
    }

    /// Returns true if policies decide about answers of models: an answer is held back until its end
    /// then.
    fn holds_answers(&self) -> bool {
        false
    }

    /// Asks the policies about the answer of a model, before its end is recorded. Returns the body that
    /// the agent gets in its place, if a policy changed it.
    ///
    /// # Errors
    ///
    /// The refusal that the agent gets in place of the answer.
    async fn permit_answer(&self, _answered: AnsweredModel<'_>) -> Result<Option<Value>, Refusal> {
        Ok(None)
    }
}

/// Check of a body that a policy puts in the place of another one. `Err` has the reason for which it
/// cannot be used.
#[derive(Clone, Copy)]
pub struct BodyCheck<'a>(pub &'a (dyn Fn(&Value) -> Result<(), String> + Send + Sync));

impl fmt::Debug for BodyCheck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BodyCheck").finish_non_exhaustive()
    }
}

/// A model call that policies are asked about.
#[derive(Clone, Copy, Debug)]
pub struct AskedModel<'a> {
    /// Key of the step.
    pub key: &'a str,
    /// The most that the call will use.
    pub reserve: &'a Reserve,
    /// Wire format of the request.
    pub format: &'a str,
    /// Digest of the canonical request of the agent.
    pub digest: &'a Digest,
    /// Body of the request; `None`: it is no JSON, or no policy looks into it.
    pub request: Option<&'a Value>,
    /// Check of a changed body.
    pub check: BodyCheck<'a>,
}

/// A model call whose provider answered.
#[derive(Clone, Copy, Debug)]
pub struct AnsweredModel<'a> {
    /// Key of the step.
    pub key: &'a str,
    /// Provider that answered.
    pub provider: &'a str,
    /// Model that was asked for.
    pub model: Option<&'a str>,
    /// Answer in a form that all providers share.
    pub result: &'a Value,
    /// Body of the answer; `None`: it was streamed, or is no JSON.
    pub response: Option<&'a Value>,
    /// Check of a changed body.
    pub check: BodyCheck<'a>,
}

/// A model call that is about to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCallStart {
    /// Key of the step.
    pub key: String,
    /// Description of the step, with the digest of the canonical request.
    pub step: StepCall,
    /// The most that the call will use.
    pub reserve: Reserve,
    /// Data of the event `model.requested`; `None`: no request is recorded.
    pub request: Option<Map<String, Value>>,
    /// The request has a place for a text of errand's own.
    pub takes_instruction: bool,
}

/// Answer to the begin of a model call.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelCallBegun {
    /// The provider is to be called.
    Call {
        /// Reservation that the end of the call settles.
        reservation_id: String,
        /// Text for the model that the request is to carry too, as it is recorded.
        instruction: Option<String>,
    },
    /// The call was made already, with this result.
    Recorded(StepCallResult),
    /// The call failed in the run that is replayed, and is not to be made.
    Failed(Failure),
}

/// A failed try of a model call that another try is to follow.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelTryFailed {
    /// Key of the step.
    pub key: String,
    /// Reservation of the failed try.
    pub reservation_id: String,
    /// Data of the event `model.try_failed`.
    pub failure: Map<String, Value>,
    /// Data of the event `model.called`; `None`: the try used nothing.
    pub usage: Option<Map<String, Value>>,
    /// The most that the next try will use.
    pub next: Reserve,
    /// Wire format of the request.
    pub format: &'static str,
    /// Digest of the canonical request of the agent.
    pub digest: Digest,
    /// Body of the next request; `None`: it is no JSON, or no policy looks into it.
    pub next_request: Option<Value>,
}

/// End of a model call.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCallEnd {
    /// Key of the step.
    pub key: String,
    /// Reservation of the call.
    pub reservation_id: String,
    /// Data of the event `model.requested` of a failed call, whose begin was recorded without the body of
    /// the request; `None`: nothing is to be added.
    pub request: Option<Map<String, Value>>,
    /// Data of the event `model.called`; `None`: the call used nothing.
    pub usage: Option<Map<String, Value>>,
    /// Result of the step.
    pub result: ModelCallResult,
}

/// Result of a model call.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelCallResult {
    /// The provider answered, and the answer came to its end.
    Completed(StepCallResult),
    /// The call failed and may be made again.
    Failed(Failure),
}
