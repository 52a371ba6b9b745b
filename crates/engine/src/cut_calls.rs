//! Calls through the gateways that were under way when their supervisor died: the ends that the
//! process which finds them records in its place.
//!
//! A model may have answered such a call, and asks money for it: it counts as reserved. A tool may
//! have done its work: the call counts, and its result is not known.

use errand_api::error_code::ErrorCode;
use errand_model::Timestamp;
use errand_model::accounting::{
    MAX_DURATION_MS, MODEL_CALLED, MODEL_REQUESTED, MODEL_TRY_FAILED, ModelCall, TOOL_CALLED,
};
use errand_model::event::{Event, EventBody, Failure, ReplayPolicy, Reported};
use errand_model::price::PriceTable;
use errand_model::run::Run;
use errand_model::step::{self, Step, StepState};
use errand_wire::WireFormat;
use serde_json::{Map, Value, json};

use crate::{Engine, prices};

/// Events of the journal that are read at once.
const PAGE: u64 = 500;
/// Member of an event with the reservation of the call that begins.
pub(crate) const RESERVED: &str = "reserved";
/// First part of the keys of the steps of tool calls.
const TOOL_KEYS: &str = "tool/";
const MESSAGE: &str = "the process that supervised the run died before the call ended";

/// Calls that were cut off, with what ends them in the journal.
#[derive(Debug, Default)]
pub(crate) struct CutCalls {
    /// Steps of the calls.
    pub(crate) steps: Vec<Step>,
    /// Events that end them: the use of each, and the failure of its step.
    pub(crate) events: Vec<EventBody>,
}

/// Kind of a call, by its step.
enum CutCall<'a> {
    Model(&'a str),
    /// A tool call, with the name that the agent knows.
    Tool(&'a str),
}

impl CutCalls {
    /// Returns the calls of a run's live attempt that no process carries on. The journal ends with the
    /// event number `head`.
    ///
    /// # Errors
    ///
    /// If the registry fails.
    pub(crate) async fn of(
        engine: &Engine,
        (run, head): (&Run, u64),
        now: Timestamp,
    ) -> Result<Self, errand_store::Error> {
        let Some(live) = run.live_attempt() else { return Ok(Self::default()) };
        let is_cut = |step: &Step| {
            step.state == StepState::Started && step.attempt == live.number && kind(step).is_some()
        };
        let mut steps = engine.store().steps(&run.id).await?;
        steps.retain(is_cut);
        if steps.is_empty() {
            return Ok(Self::default());
        }
        steps.sort_by(|left, right| {
            (left.started_at, &left.key).cmp(&(right.started_at, &right.key))
        });
        // No call of a strict replay went out.
        let is_replay =
            run.spec.replay.as_ref().is_some_and(|it| it.policy == ReplayPolicy::Strict);
        let uses =
            if is_replay { Vec::new() } else { uses(engine, (run, head), &steps, now).await? };
        let failure = Failure::new(ErrorCode::HelperDied, MESSAGE);
        let failed = steps
            .iter()
            .filter_map(|step| step::fail(Some(step), &step.key, failure.clone(), None, now).ok());
        let events = uses.into_iter().chain(failed).collect();
        Ok(Self { steps, events })
    }
}

/// Returns the kind of a call through a gateway; `None` for a step of the agent itself.
fn kind(step: &Step) -> Option<CutCall<'_>> {
    let key = step.key.as_str();
    match step.kind.as_deref()? {
        "tool" => {
            let (name, _) = key.strip_prefix(TOOL_KEYS)?.split_once('/')?;
            Some(CutCall::Tool(name))
        }
        "model" => {
            let (format, _) = key.split_once('/')?;
            WireFormat::ALL.iter().any(|it| it.as_str() == format).then_some(CutCall::Model(format))
        }
        _ => None,
    }
}

/// Returns the events about what the calls used.
async fn uses(
    engine: &Engine,
    (run, head): (&Run, u64),
    steps: &[Step],
    now: Timestamp,
) -> Result<Vec<EventBody>, errand_store::Error> {
    let reserved = reservations(engine, (run, head), steps).await?;
    // Without prices, the tokens count.
    let prices = prices::of_namespace(engine, run.spec.namespace.as_deref()).await;
    let prices = prices.unwrap_or_default();
    let used = steps.iter().filter_map(|step| match kind(step)? {
        CutCall::Model(format) => {
            // A call whose next model a person is asked about was not made.
            let reserved = reserved.get(&step.key).filter(|_| !is_asked_about(run, &step.key))?;
            model_called((step, format), reserved, &prices, now)
        }
        CutCall::Tool(name) => {
            let mut data = of_call(step, now);
            data.insert("name".to_owned(), name.into());
            if let Some(arguments) = arguments(step, name) {
                data.insert("arguments".to_owned(), arguments);
            }
            reported(TOOL_CALLED, Value::Object(data))
        }
    });
    Ok(used.collect())
}

/// Returns true if a person is asked about the call of a step.
fn is_asked_about(run: &Run, key: &str) -> bool {
    let mut open = run.approvals.values().filter(|approval| approval.verdict.is_none());
    open.any(|approval| approval.request.step.as_deref() == Some(key))
}

/// Returns the reservations of model calls, by the keys of their steps. They are near the end of the
/// journal, which is read from there.
async fn reservations(
    engine: &Engine,
    (run, head): (&Run, u64),
    steps: &[Step],
) -> Result<Map<String, Value>, errand_store::Error> {
    let mut found = Map::new();
    let is_of_model = |step: &&Step| matches!(kind(step), Some(CutCall::Model(_)));
    let mut wanted: Vec<&str> =
        steps.iter().filter(is_of_model).map(|step| step.key.as_str()).collect();
    let mut until = head;
    while until > 0 && !wanted.is_empty() {
        let after = until.saturating_sub(PAGE);
        let limit = u32::try_from(until - after).unwrap_or(u32::MAX);
        let events = engine.store().events(&run.id, after, limit).await?;
        for event in events.iter().rev() {
            take(event, &mut wanted, &mut found);
        }
        until = after;
    }
    Ok(found)
}

/// Takes in an event before those that were taken in: the last reservation of a call counts.
fn take(event: &Event, wanted: &mut Vec<&str>, found: &mut Map<String, Value>) {
    let is_begin = event.kind == "step.started";
    if !is_begin && ![MODEL_REQUESTED, MODEL_TRY_FAILED].contains(&event.kind.as_str()) {
        return;
    }
    let Ok(mut data) = serde_json::from_str::<Value>(&event.data) else { return };
    let key = data[if is_begin { "key" } else { "step" }].as_str().unwrap_or_default().to_owned();
    let Some(place) = wanted.iter().position(|it| *it == key) else { return };
    if is_begin {
        wanted.remove(place);
    } else if data[RESERVED].is_object() && !found.contains_key(&key) {
        found.insert(key, data[RESERVED].take());
    }
}

/// Returns the event about a model call that counts as reserved.
fn model_called(
    (step, format): (&Step, &str),
    reserved: &Value,
    prices: &PriceTable,
    now: Timestamp,
) -> Option<EventBody> {
    let mut data = of_call(step, now);
    for name in ["provider", "model", "reservation_id"] {
        if reserved[name].is_string() {
            data.insert(name.to_owned(), reserved[name].clone());
        }
    }
    data.insert("format".to_owned(), format.into());
    if format != WireFormat::Opaque.as_str() {
        let output = reserved["output_tokens"].as_u64().unwrap_or(0);
        let input = reserved["tokens"].as_u64().unwrap_or(0).saturating_sub(output);
        data.insert("input_tokens".to_owned(), input.into());
        data.insert("output_tokens".to_owned(), output.into());
        data.insert("usage".to_owned(), RESERVED.into());
    }
    let mut data = Value::Object(data);
    let cost = ModelCall::cost(&data, prices, now);
    ModelCall::put_cost(&mut data, cost.as_ref());
    reported(MODEL_CALLED, data)
}

/// Returns the members that events about both kinds of calls have.
fn of_call(step: &Step, now: Timestamp) -> Map<String, Value> {
    let took = u64::try_from(now.since(step.started_at).as_millis()).unwrap_or(u64::MAX);
    let mut data = Map::new();
    data.insert("step".to_owned(), step.key.as_str().into());
    data.insert("duration_ms".to_owned(), took.min(MAX_DURATION_MS).into());
    data.insert("success".to_owned(), false.into());
    data.insert("error".to_owned(), MESSAGE.into());
    data
}

/// Returns the arguments of a tool call, if the description of its step has the whole of them.
fn arguments(step: &Step, name: &str) -> Option<Value> {
    let shown = step.detail.as_deref()?.strip_prefix(name)?;
    serde_json::from_str(shown.trim_start()).ok()
}

fn reported(kind: &str, data: Value) -> Option<EventBody> {
    Reported::new(kind, data).ok().map(EventBody::Reported)
}

/// Returns the member of an event that says what was reserved for a model call; `None` for a call that
/// costs nothing.
pub(crate) fn reserved_member(
    reserve: &errand_api::agent_protocol::Reserve,
    reservation_id: &str,
) -> Option<Value> {
    if reserve.cost_usd.is_some() {
        return None;
    }
    Some(json!({
        "reservation_id": reservation_id, "provider": reserve.provider, "model": reserve.model,
        "tokens": reserve.tokens, "output_tokens": reserve.output_tokens,
    }))
}
