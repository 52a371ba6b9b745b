//! Rendering of an event in one line: the most important members of each type.

use errand_model::event::Event;
use serde_json::Value;

use super::show::show;

/// Longest rendered text; the JSON has all of it.
const TOLD_CHARS: usize = 200;

/// Important members of events of a type: names (with dots into nested objects), each by itself, or
/// with a label and `=` before it.
type Telling = (&'static str, &'static [&'static str]);

/// Every type that errand writes, and conventional types of agents.
const TELLING: &[Telling] = &[
    (
        "run.created",
        &[
            "agent.name",
            "agent.version",
            "kind",
            "trigger.type",
            "trigger.source",
            "name=name",
            "session=session_id",
            "parent=parent_run_id",
            "origin=origin_run_id",
            "input=input",
        ],
    ),
    ("run.started", &[]),
    ("run.requeued", &["reason", "until=not_before_ms"]),
    ("run.paused", &["reason", "by=by"]),
    ("run.resumed", &["by=by"]),
    ("run.cancel_requested", &["cause", "by=by", "grace=grace_period_ms"]),
    ("run.restart_requested", &["by=by", "grace=grace_period_ms"]),
    ("run.completed", &["exit=exit_code", "output=output"]),
    ("run.failed", &["error", "exit=exit_code", "signal=signal"]),
    ("run.cancelled", &["cause", "by=by", "exit=exit_code", "signal=signal"]),
    ("run.dead_lettered", &["attempts=attempts"]),
    ("attempt.started", &["reason", "lease=epoch", "supervisor=supervisor.pid", "host=host"]),
    ("attempt.waiting", &["reason", "message"]),
    ("attempt.running", &["pid=process.pid"]),
    ("attempt.task_changed", &["status"]),
    ("attempt.adopted", &["lease=epoch", "supervisor=supervisor.pid", "host=host"]),
    ("attempt.exited", &["exit=exit_code", "took=usage.wall_ms", "cpu=usage.cpu_ms"]),
    ("attempt.failed", &["error", "exit=exit_code", "signal=signal", "took=usage.wall_ms"]),
    ("attempt.stopped", &["reason", "exit=exit_code", "signal=signal", "took=usage.wall_ms"]),
    ("step.started", &["key", "kind", "detail", "run=run_id"]),
    ("step.completed", &["key", "took=duration_ms", "output=output"]),
    ("step.failed", &["key", "error", "exit=exit_code", "took=duration_ms"]),
    ("step.inherited", &["key", "kind", "detail", "took=duration_ms", "output=output"]),
    ("checkpoint.saved", &["state=state"]),
    ("checkpoint.inherited", &["state=state"]),
    ("output.set", &["output=output"]),
    ("output.delta", &["text"]),
    ("artifact.created", &["name", "bytes=size_bytes", "media_type", "digest"]),
    ("listener.bound", &["bound_addr", "asked=listen_addr"]),
    ("wake.fired", &["reason", "run=run_id", "source=source", "slot=slot_ms", "by=by"]),
    ("wake.ended", &["run=run_id", "status"]),
    ("wake.skipped", &["reason", "slots=slots", "last=slot_ms", "why"]),
    (
        "approval.requested",
        &[
            "approval_id",
            "action",
            "target",
            "summary=summary",
            "step=step",
            "deadline=deadline_ms",
            "default=default",
            "digest",
        ],
    ),
    (
        "approval.decided",
        &["approval_id", "decision", "by=decided_by", "by_deadline=by_deadline", "comment=comment"],
    ),
    ("input.requested", &["input_id", "prompt", "step=step", "deadline=deadline_ms"]),
    ("input.provided", &["input_id", "by=provided_by", "answer=answer"]),
    ("input.expired", &["input_id"]),
    ("budget.warned", &["limit", "used=used", "allowed=allowed"]),
    ("budget.steered", &["limits=limits", "step=step", "text"]),
    ("budget.exceeded", &["limit", "used=used", "allowed=allowed", "action"]),
    ("budget.raised", &["limit", "allowed=allowed", "by=by"]),
    ("session.loaded", &["session_id", "revision=revision", "messages=messages"]),
    ("session.updated", &["session_id", "revision=revision", "state=state"]),
    ("session.appended", &["session_id", "messages=messages"]),
    ("session.cached", &["session_id", "tool", "input_digest", "until=expires_at_ms"]),
    ("session.rolled_back", &["session_id", "runs=run_ids"]),
    ("bom.pinned", &["generation=generation", "digest", "image=image.digest"]),
    ("policy.decided", &["hook", "policy", "verdict", "enforced=enforced", "by=by", "reason"]),
    (
        "egress.closed",
        &[
            "host",
            "port=port",
            "kind",
            "verdict",
            "address=address",
            "sent=sent_bytes",
            "received=received_bytes",
            "took=duration_ms",
            "reason",
        ],
    ),
    ("replay.diverged", &["step=step", "what", "at=path", "expected=expected", "found=found"]),
    ("checkback.refused", &["status=status", "code", "message"]),
    (
        "model.called",
        &[
            "provider",
            "model",
            "asked=asked_model",
            "route=route",
            "in=input_tokens",
            "out=output_tokens",
            "cached=cached_tokens",
            "written=cache_write_tokens",
            "written_long=cache_write_long_tokens",
            "usage=usage",
            "tier=service_tier",
            "cost=cost_micro_usd",
            "first=first_token_ms",
            "took=duration_ms",
            "step=step",
            "error",
        ],
    ),
    (
        "model.try_failed",
        &[
            "provider",
            "model",
            "cause",
            "asked=asked_model",
            "route=route",
            "try=try",
            "took=duration_ms",
            "step=step",
            "error",
        ],
    ),
    ("model.refused", &["provider", "model", "code", "times=count", "message"]),
    ("tool.refused", &["name", "code", "times=count", "message"]),
    ("model.requested", &["model", "method", "path", "bytes=request_bytes", "step=step"]),
    (
        "tool.called",
        &[
            "name",
            "side_effect",
            "success=success",
            "took=duration_ms",
            "step=step",
            "error",
            "arguments=arguments",
        ],
    ),
    ("memory.accessed", &["store", "operation", "key", "results=results", "took=duration_ms"]),
    ("knowledge.retrieved", &["source", "query", "results=results", "took=duration_ms"]),
    ("message.sent", &["type", "from=from", "to=to", "payload=payload"]),
    ("message.delivered", &["ids", "step=step"]),
    ("message.received", &["type", "from=from", "payload=payload"]),
    ("coordination.began", &["items=items"]),
    ("coordination.settled", &["error"]),
    ("child.waiting", &["key", "reason"]),
    ("child.listening", &["key"]),
    ("handoff.requested", &["to=to", "run=run_id", "summary", "reason"]),
];

/// Returns the line without its newline.
pub(super) fn of(event: &Event) -> String {
    let attempt = if event.attempt == 0 { "-".to_owned() } else { event.attempt.to_string() };
    let told = tell(&event.kind, &event.data);
    let line = format!("{:>5}  {}  {attempt:>2}  {:<20}  {told}", event.seq, event.at, event.kind);
    line.trim_end().to_owned()
}

fn tell(kind: &str, data: &str) -> String {
    let Ok(data) = serde_json::from_str::<Value>(data) else {
        return crate::render::at_most(data, TOLD_CHARS);
    };
    let known = TELLING.iter().find(|(known, _)| *known == kind);
    let parts: Vec<String> = match known {
        Some((_, members)) => members.iter().filter_map(|member| part(&data, member)).collect(),
        None => all(&data),
    };
    // An agent may report any data under a known type.
    let parts = if parts.is_empty() && known.is_some() { all(&data) } else { parts };
    crate::render::at_most(&parts.join("  "), TOLD_CHARS)
}

fn part(data: &Value, member: &str) -> Option<String> {
    let (word, path) = member.split_once('=').unwrap_or(("", member));
    let value = path.split('.').try_fold(data, |value, name| value.get(name))?;
    let name = path.rsplit('.').next().unwrap_or_default();
    let shown = show(name, value)?;
    Some(if word.is_empty() { shown } else { format!("{word}={shown}") })
}

/// Returns all members by name.
fn all(data: &Value) -> Vec<String> {
    let members = data.as_object().into_iter().flatten();
    members.filter_map(|(name, value)| Some(format!("{name}={}", show(name, value)?))).collect()
}

#[cfg(test)]
mod tests;
