//! Calls of an attempt's agent to models, through the model gateway.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::agent_api::{
    AnsweredModel, AskedModel, BodyCheck, ModelCallBackend, ModelCallBegun, ModelCallEnd,
    ModelCallResult, ModelCallStart, ModelTryFailed, Refusal, RefusedCall, StepCall,
    StepCallResult,
};
use errand_api::agent_protocol::Reserve;
use errand_api::error_code::ErrorCode;
use errand_model::accounting::{MODEL_CALLED, MODEL_REQUESTED, MODEL_TRY_FAILED};
use errand_model::budget::OnWarn;
use errand_model::event::{EventBody, Failure, Reported, StepStarted};
use errand_model::run::{AttemptReport, Command};
use errand_model::step::{self, Begin, Inherited, StepResult, StepState};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::budget::{self, ReservedBy};
use super::steer::Steering;
use super::{AttemptBackend, refusal};
use crate::cut_calls;
use crate::payload;

/// Longest time for which a call waits for a person, if no policy says another: coding agents and
/// programs on Node.js break off after five minutes without a byte.
const MODEL_PATIENCE: Duration = Duration::from_secs(240);

/// Request of a call, as it is recorded; tool calls have none.
#[derive(Debug, Default)]
pub(super) struct CallRequest {
    /// Data of the event `model.requested`.
    data: Option<Map<String, Value>>,
    /// Text for the model, which the request is to carry.
    steering: Option<Steering>,
}

#[async_trait]
impl ModelCallBackend for AttemptBackend {
    fn sees_requests(&self) -> bool {
        self.looks_into_requests()
    }

    async fn permit_request(&self, asked: AskedModel<'_>) -> Result<Option<Value>, Refusal> {
        let key = self.redactor.redact(asked.key).into_owned();
        if self.recorded_call(&key).is_some() {
            return Ok(None);
        }
        // A call that cannot be paid is not asked about.
        self.want(asked.reserve).await?;
        self.permit_or_park(AskedModel { key: &key, ..asked }).await
    }

    async fn begin_model_call(&self, call: ModelCallStart) -> Result<ModelCallBegun, Refusal> {
        let key = self.redactor.redact(&call.key).into_owned();
        if let Some(result) = self.recorded_call(&key) {
            // Served from the record, but only once the record is durable.
            let head = self.journal.head_seq();
            self.journal.durable(head).await.map_err(|error| refusal(&error.into()))?;
            return self.fetched_result(&result).map(ModelCallBegun::Recorded);
        }
        let id = budget::reservation_id(ReservedBy::Gateway)?;
        let reservation_id = self.reserve_model_call(&call.reserve, id).await?;
        let steering = call.takes_instruction.then(|| self.steering(&key)).flatten();
        let mut data = call.request;
        if let Some(data) = &mut data {
            note_reservation(data, &call.reserve, &reservation_id);
        }
        let request = CallRequest { data, steering };
        match self.record_call(key, call.step, request).await {
            Ok(instruction) => Ok(ModelCallBegun::Call { reservation_id, instruction }),
            Err(refused) => {
                self.give_back(&reservation_id).await?;
                Err(refused)
            }
        }
    }

    async fn fall_back(&self, failed: ModelTryFailed) -> Result<String, Refusal> {
        let ModelTryFailed {
            key,
            reservation_id,
            mut failure,
            usage,
            next,
            format,
            digest,
            next_request,
        } = failed;
        let key = self.redactor.redact(&key).into_owned();
        failure.insert("step".to_owned(), key.clone().into());
        let next_id = budget::reservation_id(ReservedBy::Gateway)?;
        note_reservation(&mut failure, &next, &next_id);
        let called = self.called(&key, &reservation_id, usage).await?;
        let mut events = vec![self.event_of_call(MODEL_TRY_FAILED, failure).await?];
        events.extend(called.clone());
        self.report_all(events).await?;
        self.settled(&called, &reservation_id).await?;
        self.want(&next).await?;
        let asked = AskedModel {
            key: &key,
            reserve: &next,
            format,
            digest: &digest,
            request: next_request.as_ref(),
            check: BodyCheck(&changed_too_late),
        };
        self.permit_or_park(asked).await?;
        self.reserve_model_call(&next, next_id).await
    }

    async fn end_model_call(&self, end: ModelCallEnd) -> Result<(), Refusal> {
        let ModelCallEnd { key, reservation_id, request, usage, result } = end;
        let key = self.redactor.redact(&key).into_owned();
        let called = self.called(&key, &reservation_id, usage).await?;
        let mut events = called.clone();
        if let Some(mut data) = request {
            data.insert("step".to_owned(), key.clone().into());
            events.insert(0, self.event_of_call(MODEL_REQUESTED, data).await?);
        }
        self.record_end(&key, events, self.kept_result(result)?).await?;
        self.steps_changed.notify_one();
        self.settled(&called, &reservation_id).await
    }

    async fn note_refusal(&self, refused: RefusedCall) {
        self.count_refusal(refused).await;
    }

    fn may_instruct(&self) -> bool {
        self.journal.look(|run, _| run.spec.budgets.on_warn == OnWarn::Steer)
    }

    fn holds_answers(&self) -> bool {
        self.decides_about_answers()
    }

    async fn permit_answer(&self, answered: AnsweredModel<'_>) -> Result<Option<Value>, Refusal> {
        self.permit_model_answer(answered).await
    }
}

impl AttemptBackend {
    /// Returns the event about the usage of a call, if it used anything.
    async fn called(
        &self,
        key: &str,
        reservation_id: &str,
        usage: Option<Map<String, Value>>,
    ) -> Result<Vec<EventBody>, Refusal> {
        let Some(mut data) = usage else { return Ok(Vec::new()) };
        data.insert("reservation_id".to_owned(), reservation_id.into());
        data.insert("step".to_owned(), key.into());
        Ok(vec![self.event_of_call(MODEL_CALLED, data).await?])
    }

    /// Settles the reservation of a call, or gives it back if the call used nothing.
    async fn settled(&self, called: &[EventBody], reservation_id: &str) -> Result<(), Refusal> {
        if called.is_empty() {
            return self.give_back(reservation_id).await;
        }
        self.settle(called).await
    }

    /// Asks the policies about a request, and waits as long as one asks a person: a client of a model
    /// does not ask again. If the person does not decide in time, the agent is ended, and the next
    /// attempt makes the call.
    async fn permit_or_park(&self, asked: AskedModel<'_>) -> Result<Option<Value>, Refusal> {
        let patience = self.patience(MODEL_PATIENCE)?;
        loop {
            let permitted = async {
                loop {
                    match self.permit_model_request(asked).await {
                        Err(refusal) if refusal.code == ErrorCode::ApprovalPending => {}
                        permitted => return permitted,
                    }
                }
            };
            if let Ok(permitted) = timeout(patience, permitted).await {
                return permitted;
            }
            if self.park_for(asked.key).await? {
                return std::future::pending().await;
            }
        }
    }

    /// Reserves a part of the budget for a call that the policies permit.
    async fn reserve_model_call(&self, call: &Reserve, id: String) -> Result<String, Refusal> {
        let want = self.want(call).await?;
        self.reserve_permitted(call, &want, None, id).await.map(|answer| answer.reservation_id)
    }

    /// Returns the result of a call that was completed in this run, in any attempt.
    pub(super) fn recorded_call(&self, key: &str) -> Option<StepResult> {
        self.journal.look(|_, steps| match &steps.get(key)?.state {
            StepState::Completed(result) => Some(result.clone()),
            StepState::Started | StepState::Failed { .. } => None,
        })
    }

    /// Records the begin of a call and its request, with what the request also tells the model. They
    /// are durable when this returns. Returns the text that it tells.
    pub(super) async fn record_call(
        &self,
        key: String,
        call: StepCall,
        CallRequest { data, steering }: CallRequest,
    ) -> Result<Option<String>, Refusal> {
        let mut request = match data {
            Some(mut data) => {
                data.insert("step".to_owned(), key.clone().into());
                let steered = self.steered(&data, steering).await?;
                Some((self.event_of_call(MODEL_REQUESTED, data).await?, steered))
            }
            None => None,
        };
        let mut told = None;
        let started = StepStarted {
            key: key.clone(),
            kind: call.kind,
            fingerprint: call.fingerprint,
            detail: call.detail.map(|detail| self.shown_detail(&detail)),
            run_id: None,
            allowance: BTreeMap::new(),
        };
        let recorded = self.journal.record_with(
            |run, steps| {
                let (existing, inherited) = (steps.get(&started.key), Inherited::of(&run.spec));
                let events = match step::begin(existing, started, inherited)? {
                    Begin::Run(event) => {
                        let requested = request.take().map(|(plain, steered)| {
                            let steered = steered.filter(|steered| steered.is_due(run));
                            steered.map_or_else(|| vec![plain], |it| it.told(&mut told))
                        });
                        [*event].into_iter().chain(requested.unwrap_or_default()).collect()
                    }
                    Begin::Done(_) => Vec::new(),
                };
                Ok(Command::AttemptReport(AttemptReport { attempt: self.attempt, events }))
            },
            &[],
        );
        let (_, seq) = recorded.map_err(|error| refusal(&error.into()))?;
        self.journal.durable(seq).await.map_err(|error| refusal(&error.into()))?;
        let paused = self.journal.look(|run, _| run.paused_until(self.engine.now()));
        self.step_limits.note(&key, call.timeout, paused);
        self.steps_changed.notify_one();
        Ok(told)
    }

    /// Records the end of a call and its usage in one commit. They are durable when this returns.
    pub(super) async fn record_end(
        &self,
        key: &str,
        mut events: Vec<EventBody>,
        result: Result<StepCallResult, Failure>,
    ) -> Result<(), Refusal> {
        let now = self.engine.now();
        let recorded = self.journal.record_with(
            |_, steps| {
                let step = steps.get(key);
                let end = match result {
                    Ok(StepCallResult { output, stderr }) => {
                        step::complete(step, key, output, stderr, now)?
                    }
                    Err(failure) => Some(step::fail(step, key, failure, None, now)?),
                };
                events.extend(end);
                Ok(Command::AttemptReport(AttemptReport { attempt: self.attempt, events }))
            },
            &[],
        );
        let (decision, seq) = recorded.map_err(|error| refusal(&error.into()))?;
        self.journal.durable(seq).await.map_err(|error| refusal(&error.into()))?;
        self.order_now(decision.effects).await;
        Ok(())
    }

    fn kept_result(
        &self,
        result: ModelCallResult,
    ) -> Result<Result<StepCallResult, Failure>, Refusal> {
        Ok(match result {
            ModelCallResult::Completed(StepCallResult { output, stderr }) => Ok(StepCallResult {
                output: output.map(|output| self.kept(output)).transpose()?,
                stderr: stderr.map(|stderr| self.kept(stderr)).transpose()?,
            }),
            ModelCallResult::Failed(failure) => Err(Failure {
                message: self.redactor.redact_excerpt(&failure.message).into_owned(),
                ..failure
            }),
        })
    }

    /// Returns an event about a call: masked, with its cost, and short enough for the journal.
    pub(super) async fn event_of_call(
        &self,
        kind: &str,
        data: Map<String, Value>,
    ) -> Result<EventBody, Refusal> {
        let mut data = self.masked_json(Value::Object(data));
        self.accounted(0, kind, &mut data).await?;
        payload::shorten(&self.engine.blobs(), &mut data)
            .map_err(|error| refusal(&error.into()))?;
        let reported = Reported::new(kind, data)
            .map_err(|error| Refusal::new(422, ErrorCode::EventInvalid, error.to_string()))?;
        Ok(EventBody::Reported(reported))
    }
}

/// Refuses another request for the next model of a route: the one of the call is recorded already.
fn changed_too_late(_changed: &Value) -> Result<(), String> {
    Err("the request of a call whose first model failed cannot be changed any more: decide by what \
         does not depend on the model, so that the change is the same"
        .to_owned())
}

/// Writes into the event with which a call begins what is reserved for it: if this process dies, the call
/// counts so.
fn note_reservation(data: &mut Map<String, Value>, reserve: &Reserve, reservation_id: &str) {
    if let Some(reserved) = cut_calls::reserved_member(reserve, reservation_id) {
        data.insert(cut_calls::RESERVED.to_owned(), reserved);
    }
}
