//! Rendering of runs and numbers for people.

use errand_api::error_code::ErrorCode;
use errand_api::exit_code;
use errand_api::record::{RecordChildren, RecordPort, RunRecord};
use errand_model::Timestamp;
use errand_model::event::{PauseReason, RunKind, ServiceRestart};

use crate::moment::{relative, spoken};

/// Formats "512 B" or "1.5 MiB".
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut unit, mut whole, mut rest) = (0, bytes, 0);
    while whole >= 1024 && unit + 1 < UNITS.len() {
        (rest, whole, unit) = (whole % 1024, whole / 1024, unit + 1);
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 {
        format!("{whole} {name}")
    } else {
        format!("{whole}.{} {name}", rest * 10 / 1024)
    }
}

/// Returns the exit code that `wait` prints and a foreground run exits with.
pub(crate) fn exit_code_of(record: &RunRecord) -> u8 {
    match record.status.as_str() {
        "completed" => record.exit_code.map_or(exit_code::SUCCESS, exit_code::of_agent),
        "cancelled" if code_of(record) == Some(ErrorCode::TimeoutQueue) => exit_code::TIMED_OUT,
        "cancelled" => exit_code::STOPPED,
        // The run waits for a person, without a process.
        "paused" => exit_code::PARKED,
        _ => {
            let code = code_of(record);
            let is_timeout = matches!(code, Some(ErrorCode::TimeoutRun | ErrorCode::TimeoutStep));
            match (record.exit_code, record.signal) {
                _ if is_timeout => exit_code::TIMED_OUT,
                // Errand ended the run.
                (None, _) if code == Some(ErrorCode::DiskFull) => exit_code::ERRAND_FAILED,
                // The agent exited with 0 but failed: its output was refused.
                (Some(0), _) => exit_code::ERRAND_FAILED,
                (Some(code), _) => exit_code::of_agent(code),
                (None, Some(signal)) => exit_code::of_signal(signal),
                (None, None) => code.map_or(exit_code::ERRAND_FAILED, ErrorCode::exit_code),
            }
        }
    }
}

/// Returns the code of the last error.
fn code_of(record: &RunRecord) -> Option<ErrorCode> {
    record.last_error.as_ref().and_then(|error| error.code.parse().ok())
}

/// Formats "running 3 minutes", "exited (0) 5 minutes ago, over budget" or "failed (1) 2 hours
/// ago".
pub(crate) fn status(record: &RunRecord, now: Timestamp) -> String {
    let status = match &record.coordinator {
        Some(coordinator) if !record.is_terminal() => {
            format!("{}{}", standing(record, now), children(&coordinator.children))
        }
        Some(_) | None => standing(record, now),
    };
    if record.usage.exceeded.is_empty() { status } else { format!("{status}, over budget") }
}

/// Formats ", 3/10 children": those that are over, of all that are planned or started.
fn children(children: &RecordChildren) -> String {
    let all = children.total.unwrap_or(0).max(children.started);
    let waiting = match children.waiting {
        0 => String::new(),
        waiting => format!(", {waiting} waiting"),
    };
    if all == 0 { String::new() } else { format!(", {}/{all} children{waiting}", children.ended()) }
}

fn standing(record: &RunRecord, now: Timestamp) -> String {
    let ended = record.stopped_at_ms.map_or(String::new(), |at| format!(" {}", relative(at, now)));
    match record.status.as_str() {
        "pending" if record.waits_behind.is_some() => {
            let holder = record.waits_behind.as_ref().map(ToString::to_string);
            format!("waits for its turn behind {}", holder.unwrap_or_default())
        }
        "pending" if rests_until_boot(record) => {
            "ended by a signal, until the next boot".to_owned()
        }
        "pending" if record.attempt > 0 && !is_starting(record) => {
            format!("waiting, attempt {} follows", record.attempt + 1)
        }
        "pending" if record.ready_at_ms.is_some_and(|at| at > now) => {
            format!("due {}", relative(record.ready_at_ms.unwrap_or(now), now))
        }
        "pending" if record.ready_at_ms.is_some() => {
            format!("queued {}", spoken(now.since(record.created_at_ms)))
        }
        "pending" => {
            let waits = wait_of_start(record).map_or(String::new(), |it| format!(" ({it})"));
            format!("starting {}{waits}", spoken(now.since(record.created_at_ms)))
        }
        "paused" => paused(record, now),
        "running" => {
            let since = record.started_at_ms.unwrap_or(record.created_at_ms);
            format!("running {}", spoken(now.since(since)))
        }
        "completed" => format!("exited ({}){ended}", exit_code_of(record)),
        "cancelled" => match code_of(record) {
            Some(ErrorCode::TimeoutQueue) => format!("timed out before it began{ended}"),
            Some(ErrorCode::Superseded) => format!("superseded{ended}"),
            Some(ErrorCode::TimeoutApproval) => format!("stopped undecided{ended}"),
            Some(ErrorCode::BudgetExceeded) => format!("stopped, out of budget{ended}"),
            _ => format!("stopped{ended}"),
        },
        _ => format!("failed ({}){ended}", exit_code_of(record)),
    }
}

/// Formats "paused, waits for approval of deploy (deadline in 5 minutes)".
fn paused(record: &RunRecord, now: Timestamp) -> String {
    let held = match record.pause.as_ref().map(|pause| (pause.reason, &pause.secrets)) {
        Some((PauseReason::Operator, _)) => " by an operator",
        Some((PauseReason::Budget, _)) => ", out of budget",
        Some((PauseReason::Secret, names)) if names.is_empty() => {
            return "paused, an agent of it waits for a secret".to_owned();
        }
        Some((PauseReason::Secret, names)) => {
            let noun = if names.len() == 1 { "secret" } else { "secrets" };
            return format!("paused, waits for {noun} {}", names.join(", "));
        }
        Some((PauseReason::Approval | PauseReason::Input, _)) | None => "",
    };
    let approvals = record.approvals.iter().filter(|it| it.status == "open");
    let inputs = record.inputs.iter().filter(|it| it.status == "open");
    let mut waits: Vec<(String, Option<Timestamp>)> = approvals
        .map(|it| (format!("approval of {}", one_line(&it.action)), it.deadline_ms))
        .chain(inputs.map(|it| ("an answer".to_owned(), it.deadline_ms)))
        .collect();
    waits.sort_by_key(|(_, deadline)| deadline.unwrap_or(Timestamp::from_millis(i64::MAX)));
    let Some((what, deadline)) = waits.first() else { return format!("paused{held}") };
    let more = match waits.len() {
        1 => String::new(),
        all => format!(" and {} more", all - 1),
    };
    let deadline =
        deadline.map_or(String::new(), |at| format!(" (deadline {})", relative(at, now)));
    format!("paused{held}, waits for {what}{more}{deadline}")
}

/// Returns true for a service that a signal ended, and that does not come back before the machine
/// boots or a user resumes it.
fn rests_until_boot(record: &RunRecord) -> bool {
    record.operation.restart == Some(ServiceRestart::OnFailure)
        && record.attempts.last().is_some_and(|attempt| attempt.status == "stopped")
}

/// Returns true if an attempt has started whose process does not exist yet.
fn is_starting(record: &RunRecord) -> bool {
    record.attempts.last().is_some_and(|attempt| attempt.status == "starting")
}

/// Returns the word of the target for what a starting attempt waits.
fn wait_of_start(record: &RunRecord) -> Option<String> {
    let wait = record.attempts.last()?.waits_for.as_ref()?;
    Some(one_line(&wait.reason))
}

/// Returns the trigger in a word or two.
pub(crate) fn trigger(record: &RunRecord) -> String {
    use errand_model::event::TriggerKind;
    if let Some(member) = &record.member {
        return format!("{} of {}", member.step, member.coordinator);
    }
    let kind = match record.trigger.kind {
        TriggerKind::Manual => "manual",
        TriggerKind::Webhook => "webhook",
        TriggerKind::Schedule => "schedule",
        TriggerKind::Upstream => "upstream",
    };
    match &record.trigger.source {
        Some(source) => format!("{kind} {source}"),
        None => kind.to_owned(),
    }
}

/// Returns when the next attempt of a run begins, if the run waits for it.
fn next_attempt_at(record: &RunRecord) -> Option<Timestamp> {
    let waits = record.status == "pending" && record.attempt > 0 && !is_starting(record);
    record.ready_at_ms.filter(|_| waits)
}

/// Returns the published ports of a run whose container or task lives, such as `127.0.0.1:4711->80/tcp`.
pub(crate) fn ports(record: &RunRecord) -> String {
    let one = |port: &RecordPort| {
        let host = port.host.as_deref().unwrap_or("?");
        let here = port.port.map_or_else(|| "?".to_owned(), |port| port.to_string());
        format!("{host}:{here}->{}/{}", port.container_port, port.protocol)
    };
    record.live_ports().iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Returns the next wake of a service and its addresses, or the time of a run's next attempt.
pub(crate) fn next_wake(record: &RunRecord, now: Timestamp) -> String {
    if let Some(at) = next_attempt_at(record).filter(|at| *at > now) {
        return relative(at, now);
    }
    if record.kind != RunKind::Service || record.is_terminal() {
        return String::new();
    }
    let mut parts = Vec::new();
    if let Some(at) = record.next_wake_at() {
        parts.push(relative(at, now));
    }
    for listener in record.operation.listeners.iter().flatten() {
        let address = listener.bound_addr.as_ref().unwrap_or(&listener.listen_addr);
        parts.push(format!("at http://{address}{}", listener.path.as_deref().unwrap_or("/")));
    }
    parts.join(", ")
}

/// Returns `job`, `heartbeat` or `service`.
pub(crate) const fn kind(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Job => "job",
        RunKind::Heartbeat => "heartbeat",
        RunKind::Service => "service",
    }
}

/// Formats a text for one line of a table: control characters are escaped, long texts cut.
pub(crate) fn one_line(text: &str) -> String {
    const LIMIT: usize = 40;
    at_most(text, LIMIT)
}

/// Formats a text for one line, cut after `limit` characters.
pub(crate) fn at_most(text: &str, limit: usize) -> String {
    let mut line: String = text
        .chars()
        .take(limit)
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect();
    if text.chars().count() > limit {
        line.push('…');
    }
    line
}

/// Formats a text for one line, control characters escaped, uncut.
pub(crate) fn visible(text: &str) -> String {
    at_most(text, usize::MAX)
}

/// Escapes control characters except newlines and tabs.
pub(crate) fn visible_lines(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => shown.push(letter),
            letter if letter.is_control() => shown.extend(letter.escape_default()),
            letter => shown.push(letter),
        }
    }
    shown
}

/// Formats millionths of a US dollar as dollars: two decimals, and further ones as far as they are
/// not 0.
pub(crate) fn money(micro_usd: u64) -> String {
    let (dollars, rest) = (micro_usd / 1_000_000, micro_usd % 1_000_000);
    let decimals = format!("{rest:06}");
    let (first, more) = decimals.split_at(2);
    format!("{dollars}.{first}{}", more.trim_end_matches('0'))
}

/// Renders a table as lines without trailing blanks, two blanks between columns.
pub(crate) fn lines(table: &mut comfy_table::Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_the_digits_that_say_something() {
        for (micro_usd, text) in [
            (0, "0.00"),
            (1, "0.000001"),
            (36, "0.000036"),
            (150_000, "0.15"),
            (1_250_000, "1.25"),
            (2_000_000, "2.00"),
            (u64::MAX, "18446744073709.551615"),
        ] {
            assert_eq!(money(micro_usd), text);
        }
    }
}
