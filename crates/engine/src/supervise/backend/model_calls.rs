//! Calls of an attempt's agent to models, through the model gateway.

use std::collections::BTreeMap;

use async_trait::async_trait;
use errand_agent::agent_api::{
    AnsweredModel, ModelCallBackend, ModelCallBegun, ModelCallEnd, ModelCallResult, ModelCallStart,
    ModelTryFailed, Refusal, StepCall, StepCallResult,
};
use errand_api::agent_protocol::Reserve;
use errand_api::error_code::ErrorCode;
use errand_model::accounting::{MODEL_CALLED, MODEL_REQUESTED, MODEL_TRY_FAILED};
use errand_model::budget::OnWarn;
use errand_model::event::{EventBody, Failure, Reported, StepStarted};
use errand_model::run::{AttemptReport, Command};
use errand_model::step::{self, Begin, Inherited, StepResult, StepState};
use serde_json::{Map, Value};

use super::steer::Steering;
use super::{AttemptBackend, refusal};
use crate::payload;

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
    async fn begin_model_call(&self, call: ModelCallStart) -> Result<ModelCallBegun, Refusal> {
        let key = self.redactor.redact(&call.key).into_owned();
        if let Some(result) = self.recorded_call(&key) {
            // Served from the record, but only once the record is durable.
            let head = self.journal.head_seq();
            self.journal.durable(head).await.map_err(|error| refusal(&error.into()))?;
            return self.fetched_result(&result).map(ModelCallBegun::Recorded);
        }
        let reservation_id = self.reserve_model_call(&call.reserve).await?;
        let steering = call.takes_instruction.then(|| self.steering(&key)).flatten();
        let request = CallRequest { data: call.request, steering };
        match self.record_call(key, call.step, request).await {
            Ok(instruction) => Ok(ModelCallBegun::Call { reservation_id, instruction }),
            Err(refused) => {
                self.give_back(&reservation_id).await?;
                Err(refused)
            }
        }
    }

    async fn fall_back(&self, failed: ModelTryFailed) -> Result<String, Refusal> {
        let ModelTryFailed { key, reservation_id, mut failure, usage, next } = failed;
        let key = self.redactor.redact(&key).into_owned();
        failure.insert("step".to_owned(), key.clone().into());
        let called = self.called(&key, &reservation_id, usage).await?;
        let mut events = vec![self.event_of_call(MODEL_TRY_FAILED, failure).await?];
        events.extend(called.clone());
        self.report_all(events).await?;
        self.settled(&called, &reservation_id).await?;
        self.reserve_model_call(&next).await
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

    fn may_instruct(&self) -> bool {
        self.journal.look(|run, _| run.spec.budgets.on_warn == OnWarn::Steer)
    }

    fn holds_answers(&self) -> bool {
        self.decides_about_answers()
    }

    async fn permit_answer(&self, answered: AnsweredModel<'_>) -> Result<(), Refusal> {
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

    /// Reserves a part of the budget, and waits as long as a policy asks a person: a client of a
    /// model does not ask again.
    async fn reserve_model_call(&self, call: &Reserve) -> Result<String, Refusal> {
        loop {
            match self.reserve_for(call.clone(), None).await {
                Err(refusal) if refusal.code == ErrorCode::ApprovalPending => {}
                reserved => return reserved.map(|answer| answer.reservation_id),
            }
        }
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
