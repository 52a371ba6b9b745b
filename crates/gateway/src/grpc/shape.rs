//! Conversions between gRPC messages and REST documents.

use errand_api::record::RunRecord;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tonic::Status;

use super::proto;
use crate::feed::{Frame, StreamItem};

/// Converts a run request into REST's body. Empty fields are left out.
///
/// # Errors
///
/// If a JSON field is invalid.
pub(super) fn body(run: proto::CreateRunRequest) -> Result<Value, Status> {
    let mut body = Map::new();
    let texts = [
        ("agent", run.agent),
        ("version", run.version),
        ("kind", run.kind),
        ("name", run.name),
        ("session_id", run.session_id),
        ("on_busy", run.on_busy),
        ("callback_url", run.callback_url),
        ("scheduled_at", run.scheduled_at),
        ("instructions", run.instructions),
        ("context", run.context),
        ("model_route", run.model_route),
    ];
    for (name, text) in texts {
        // A missing agent is refused by REST.
        if !text.is_empty() {
            body.insert(name.to_owned(), text.into());
        }
    }
    for (name, pairs) in [("labels", run.labels), ("env", run.env), ("affinity", run.affinity)] {
        if !pairs.is_empty() {
            body.insert(name.to_owned(), json!(pairs));
        }
    }
    for (name, slugs) in [("skills", run.skills), ("configs", run.configs)] {
        if !slugs.is_empty() {
            body.insert(name.to_owned(), json!(slugs));
        }
    }
    for (name, text) in [("input", run.input_json), ("budgets", run.budgets_json)] {
        if let Some(value) = document(name, &text)? {
            body.insert(name.to_owned(), value);
        }
    }
    if let Some(priority) = run.priority {
        body.insert("priority".to_owned(), priority.into());
    }
    let mut timeouts = Map::new();
    for (name, text) in [("run", run.run_timeout), ("queue", run.queue_timeout)] {
        if !text.is_empty() {
            timeouts.insert(name.to_owned(), text.into());
        }
    }
    if !timeouts.is_empty() {
        body.insert("timeouts".to_owned(), timeouts.into());
    }
    Ok(body.into())
}

/// Parses the JSON in a field; `None` if it is empty.
///
/// # Errors
///
/// If it is invalid.
pub(super) fn document(name: &str, text: &str) -> Result<Option<Value>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(text).map(Some).map_err(|error| {
        use errand_api::error_code::ErrorCode;
        use errand_api::gateway::problem::ProblemDetails;
        let detail = format!("{name}_json is no JSON: {error}");
        let mut problem = ProblemDetails::new(ErrorCode::RequestMalformed, detail);
        problem.pointer = Some(format!("/{name}"));
        super::call::status(&problem)
    })
}

/// Converts a record into a message.
pub(super) fn run(record: RunRecord) -> proto::Run {
    let record_json = text(&record);
    let output_json = if record.output.is_null() { String::new() } else { text(&record.output) };
    proto::Run {
        run_id: record.run_id.to_string(),
        name: record.name.unwrap_or_default(),
        namespace: record.namespace,
        kind: text(&record.kind).trim_matches('"').to_owned(),
        status: record.status,
        agent: Some(proto::Agent {
            name: record.agent.name,
            version: record.agent.version,
            digest: record.agent.digest.to_string(),
        }),
        labels: record.labels.into_iter().collect(),
        session_id: record.session_id.unwrap_or_default(),
        created_at_ms: record.created_at_ms.as_millis(),
        started_at_ms: record.started_at_ms.map(errand_model::Timestamp::as_millis),
        stopped_at_ms: record.stopped_at_ms.map(errand_model::Timestamp::as_millis),
        exit_code: record.exit_code,
        attempt: record.attempt,
        output_json,
        last_error: record.last_error.map(|error| proto::Failure {
            code: error.code,
            message: error.message,
            step: error.step.unwrap_or_default(),
            stderr_tail: error.stderr_tail.unwrap_or_default(),
        }),
        record_json,
    }
}

/// Converts a frame into a message.
pub(super) fn item(frame: &Frame) -> proto::StreamItem {
    let seq = |id: Option<&String>| id.and_then(|id| id.parse().ok()).unwrap_or(0);
    let told = match &frame.told {
        StreamItem::Event(event) => proto::stream_item::Told::Event(proto::Event {
            run_id: event.run_id.to_string(),
            seq: event.seq,
            at_ms: event.at.as_millis(),
            attempt: event.attempt,
            r#type: event.kind.clone(),
            data_json: event.data.clone(),
            hash: event.hash.to_string(),
        }),
        StreamItem::Output(part) => proto::stream_item::Told::Output(proto::Output {
            attempt: part.attempt,
            offset: part.offset,
            text: part.text.clone(),
        }),
        StreamItem::Log(part) => proto::stream_item::Told::Log(proto::Log {
            attempt: part.attempt,
            stream: part.stream.to_owned(),
            text: part.text.clone(),
        }),
        StreamItem::Lagged(lagged) => proto::stream_item::Told::Lagged(proto::Lagged {
            missed: lagged.missed,
            last_seq: seq(Some(&lagged.last_event_id)),
        }),
        StreamItem::End(end) => proto::stream_item::Told::End(proto::End {
            reason: end.reason.as_str().to_owned(),
            last_seq: seq(end.last_event_id.as_ref()),
            retry_ms: end.retry_ms.unwrap_or(0),
            run: end.run.clone().map(run),
        }),
    };
    proto::StreamItem { told: Some(told) }
}

/// Serializes a value. All map keys are strings, so that this cannot fail.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
