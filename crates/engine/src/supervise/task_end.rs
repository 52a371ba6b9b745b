//! End of a task at a dispatcher: its journal is verified and kept, and its calls and artifacts become those
//! of the run.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use errand_agent::target::TaskReport;
use errand_model::error_code::ErrorCode;
use errand_model::event::{EventBody, Failure, Reported};
use errand_model::run::EndedTask;
use errand_model::{Blob, Digest, Encoding, Event, Head, TaskEvidence};
use serde_json::Value;

use super::outcome::chain;
use crate::Engine;

/// Events of a task that count as those of the run: its usage is made of them.
const MIRRORED: [&str; 4] =
    ["model.called", "tool.called", "memory.accessed", "knowledge.retrieved"];
/// Most events that are mirrored in one commit; the journal of the task has all.
const MIRRORED_LIMIT: usize = 10_000;

/// Files of artifacts by their digests.
type ArtifactFiles<'a> = BTreeMap<&'a Digest, &'a PathBuf>;

/// Takes what a dispatcher reported about a task: keeps its journal and its artifacts. Returns the failure
/// of the task, or else that of its journal.
pub(super) async fn taken(
    engine: &Engine,
    report: TaskReport,
) -> (Option<Box<EndedTask>>, Option<Failure>) {
    let failure = report.failure.clone();
    let engine = engine.clone();
    let kept = tokio::task::spawn_blocking(move || kept(&engine, &report)).await;
    match kept.unwrap_or_else(|error| Err(failed(&error))) {
        Ok(task) => (task.map(Box::new), failure),
        Err(broken) => (None, Some(failure.unwrap_or(broken))),
    }
}

/// Verifies and keeps a journal. `None`: the dispatcher gave none.
fn kept(engine: &Engine, report: &TaskReport) -> Result<Option<EndedTask>, Failure> {
    let Some(path) = &report.journal else { return Ok(None) };
    let files: ArtifactFiles<'_> =
        report.artifacts.iter().map(|(digest, path)| (digest, path)).collect();
    let (head, events) = verified(path, &report.task_id, &files)?;
    let blobs = engine.blobs();
    for (digest, path) in &files {
        let (found, _) = blobs.put_file(path).map_err(|error| failed(&error))?;
        if found != **digest {
            return Err(broken(&format!("an artifact has the digest {found}, not {digest}")));
        }
    }
    let (digest, size_bytes) = blobs.put_file(path).map_err(|error| failed(&error))?;
    let evidence = TaskEvidence {
        dispatcher: report.dispatcher.clone(),
        task_id: report.task_id.clone(),
        blob: Blob { digest, size_bytes, encoding: Encoding::Text },
        events: head.seq,
        last_hash: head.hash,
    };
    Ok(Some(EndedTask { evidence, events }))
}

/// Verifies the chain of a journal. Returns its end, and the events that count for the run.
fn verified(
    path: &Path,
    task_id: &str,
    files: &ArtifactFiles<'_>,
) -> Result<(Head, Vec<EventBody>), Failure> {
    let file = File::open(path).map_err(|error| failed(&error))?;
    let mut head = Head::EMPTY;
    let mut mirrored = Vec::new();
    let mut last = None;
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|error| failed(&error))?;
        let event = Event::from_json_line(&line).map_err(|error| broken(&error.to_string()))?;
        head.verify(&event).map_err(|error| broken(&error.to_string()))?;
        if event.seq == 1 && !is_of_task(&event) {
            return Err(broken(&format!("it is not that of task {task_id}")));
        }
        if mirrored.len() < MIRRORED_LIMIT {
            mirrored.extend(mirror(&event, files));
        }
        last = Some(event.kind);
    }
    match last.as_deref() {
        Some("run.completed" | "run.failed" | "run.cancelled") => Ok((head, mirrored)),
        Some(_) | None => Err(broken("it has no end")),
    }
}

/// Returns true if the first event of a journal is that of a task's run. Several ids may stand for it.
fn is_of_task(event: &Event) -> bool {
    matches!(event.body(), Ok(EventBody::RunCreated(created)) if created.task.is_some())
}

/// Returns the event of the run that an event of its task becomes, if any.
fn mirror(event: &Event, files: &ArtifactFiles<'_>) -> Option<EventBody> {
    if event.kind == "artifact.created" {
        let body = event.body().ok()?;
        let EventBody::ArtifactCreated(created) = &body else { return None };
        return files.contains_key(&created.digest).then_some(body);
    }
    if !MIRRORED.contains(&event.kind.as_str()) {
        return None;
    }
    let mut data: Value = serde_json::from_str(&event.data).ok()?;
    without_blobs(&mut data);
    Reported::new(&event.kind, data).ok().map(EventBody::Reported)
}

/// Removes what stands for bytes that only the dispatcher has.
fn without_blobs(value: &mut Value) {
    match value {
        Value::Object(members) if members.contains_key("$blob") => *value = Value::Null,
        Value::Object(members) => members.values_mut().for_each(without_blobs),
        Value::Array(items) => items.iter_mut().for_each(without_blobs),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn broken(reason: &str) -> Failure {
    let message = format!("the journal of the task is not what its dispatcher wrote: {reason}");
    Failure::new(ErrorCode::TaskJournalBroken, message)
}

fn failed(error: &dyn StdError) -> Failure {
    let message = format!("the journal of the task cannot be kept: {}", chain(error));
    Failure::new(ErrorCode::IoFailed, message)
}

#[cfg(test)]
mod tests {
    use errand_model::{Hash, RunId, Timestamp};

    use super::*;

    fn event(kind: &str, data: &Value) -> Event {
        Event {
            run_id: RunId::new(Timestamp::from_millis(1), 1),
            seq: 1,
            at: Timestamp::from_millis(1),
            attempt: 1,
            kind: kind.to_owned(),
            data: data.to_string(),
            hash: Hash::ZERO,
        }
    }

    #[test]
    fn calls_of_a_task_count_for_its_run_without_bytes_of_the_dispatcher() {
        let data = serde_json::json!({
            "provider": "p", "model": "m", "input_tokens": 3, "request": { "$blob": { "digest": "x" } },
        });
        let Some(EventBody::Reported(reported)) =
            mirror(&event("model.called", &data), &ArtifactFiles::new())
        else {
            panic!("a call is mirrored")
        };
        assert_eq!(reported.data()["input_tokens"], 3);
        assert_eq!(reported.data()["request"], Value::Null);
        for kind in ["step.completed", "artifact.created", "run.completed", "note.made"] {
            assert_eq!(mirror(&event(kind, &data), &ArtifactFiles::new()), None, "{kind}");
        }
    }

    #[test]
    fn a_journal_without_its_chain_or_its_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        for text in
            ["", "no event\n", &format!("{}\n", event("run.created", &Value::Null).to_json_line())]
        {
            std::fs::write(&path, text).unwrap();
            let refused = verified(&path, "task", &ArtifactFiles::new()).unwrap_err();
            assert_eq!(refused.code.as_str(), "task_journal_broken", "{text}");
        }
    }
}
