//! Journal of a run in an export: read as a stream, and compared with the manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read};

use errand_model::{Digest, Event, Head, RunId, Tampered, Tampering, diagnose};
use errand_store::blobs_of;
use serde_json::Value;

use super::FileError;
use super::family::child;
use super::fault::damaged;
use crate::evidence::{
    EvidencePlace, EvidenceProblem, Finding, LINE_LIMIT_BYTES, is_terminal, no_event, parse,
};

/// Bounds, in events and bytes, of the search behind the first invalid event for how it was
/// tampered with.
const REST_LIMIT: usize = 100_000;
const REST_BYTES: usize = 64 * 1024 * 1024;

/// Facts about a journal in an export.
#[derive(Debug)]
pub(super) struct Journal {
    run_id: Option<RunId>,
    pub(super) head: Head,
    pub(super) is_over: bool,
    /// Digest of the agent's parcel, from the first event.
    pub(super) parcel: Option<Digest>,
    /// Digests of the agents of the run's plan.
    pub(super) plan: Vec<Digest>,
    /// The run that started this one.
    pub(super) parent: Option<RunId>,
    /// The runs that this one started as steps.
    pub(super) children: BTreeSet<RunId>,
    /// Blobs that the events name, each with the number of the first event that names it.
    pub(super) blobs: BTreeMap<Digest, u64>,
    pub(super) artifacts: BTreeMap<String, Digest>,
    found: Option<Tampered>,
    /// Offset of the journal's first byte in the file.
    pub(super) from: u64,
}

impl Journal {
    /// Returns a journal of which nothing was read yet.
    pub(super) const fn new() -> Self {
        Self {
            run_id: None,
            head: Head::EMPTY,
            is_over: false,
            parcel: None,
            plan: Vec::new(),
            parent: None,
            children: BTreeSet::new(),
            blobs: BTreeMap::new(),
            artifacts: BTreeMap::new(),
            found: None,
            from: 0,
        }
    }

    /// Reads the journal to its end; [`Journal::check`] reports an invalid event.
    pub(super) fn read(&mut self, from: &mut impl Read) -> Result<(), FileError> {
        let mut lines = BufReader::new(from);
        let mut line = Vec::new();
        let mut rest = Vec::new();
        let mut rest_bytes = 0;
        while rest.len() < REST_LIMIT && rest_bytes < REST_BYTES {
            line.clear();
            if (&mut lines).take(LINE_LIMIT_BYTES).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let is_whole = line.pop_if(|byte| *byte == b'\n').is_some();
            let event = if is_whole { parse(&line) } else { None };
            let place = self.head.seq + 1 + u64::try_from(rest.len()).unwrap_or(0);
            let event = event.unwrap_or_else(|| no_event(self.run_id.as_ref(), place));
            if rest.is_empty() && self.follows(&event) {
                self.take(&event);
            } else {
                rest_bytes += line.len();
                rest.push(event);
            }
        }
        if !rest.is_empty() {
            let added = Tampered { seq: self.head.seq + 1, tampering: Tampering::Added };
            self.found = Some(if self.is_over { added } else { diagnose(self.head, &rest) });
        }
        Ok(())
    }

    fn follows(&mut self, event: &Event) -> bool {
        let run_id = self.run_id.get_or_insert_with(|| event.run_id.clone());
        *run_id == event.run_id && !self.is_over && self.head.verify(event).is_ok()
    }

    fn take(&mut self, event: &Event) {
        self.is_over = is_terminal(event);
        for digest in blobs_of(event) {
            self.blobs.entry(digest).or_insert(event.seq);
        }
        let data = || serde_json::from_str::<Value>(&event.data).ok();
        let member = |pointer: &str| Some(data()?.pointer(pointer)?.as_str()?.to_owned());
        if event.seq == 1 {
            self.parcel = member("/agent/digest").and_then(|digest| digest.parse().ok());
            self.parent = member("/parent_run_id").and_then(|run_id| run_id.parse().ok());
            let plan =
                data().and_then(|mut data| data.pointer_mut("/plan/agents").map(Value::take));
            let agents = plan.as_ref().and_then(Value::as_object).into_iter().flatten();
            let digest = |agent: &Value| agent.get("digest")?.as_str()?.parse().ok();
            self.plan = agents.filter_map(|(_, agent)| digest(agent)).collect();
        }
        self.children.extend(child(event).map(|(_, child)| child));
        if event.kind == "artifact.created"
            && let (Some(name), Some(Ok(digest))) =
                (member("/name"), member("/digest").map(|digest| digest.parse()))
        {
            self.artifacts.insert(name, digest);
        }
    }

    /// Compares the journal's end with the manifest; `entry` is the journal's entry name.
    pub(super) fn check(
        &self,
        (run_id, events, hash): (&RunId, u64, &str),
        entry: String,
    ) -> Result<(), FileError> {
        let at_end = |seq, tampering| Some(Tampered { seq, tampering });
        let found = self.found.or_else(|| {
            if self.head.seq < events {
                at_end(self.head.seq + 1, Tampering::Removed)
            } else if self.head.seq > events {
                at_end(events + 1, Tampering::Added)
            } else if self.head.hash.to_string() != hash {
                at_end(self.head.seq, Tampering::Changed)
            } else {
                None
            }
        });
        if let Some(told) = found {
            let place = EvidencePlace::Export(entry);
            let finding = Box::new(Finding { place, problem: EvidenceProblem::Event(told) });
            return Err(FileError::Tampered { run_id: run_id.clone(), finding });
        }
        if self.run_id.as_ref() == Some(run_id) {
            return Ok(());
        }
        Err(damaged(format!("{entry} is of another run than the manifest")))
    }
}

/// Reads the events of a journal again, up to `head`.
///
/// # Errors
///
/// [`FileError::Damaged`] if the journal changed since it was checked.
pub(super) fn events(from: impl Read, head: Head) -> Result<Vec<Event>, FileError> {
    let changed = || damaged("a journal was changed while it was read");
    let mut lines = BufReader::new(from);
    let (mut events, mut line, mut at) = (Vec::new(), Vec::new(), Head::EMPTY);
    while at.seq < head.seq {
        line.clear();
        if (&mut lines).take(LINE_LIMIT_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Err(changed());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let event = parse(&line).ok_or_else(changed)?;
        at.verify(&event).map_err(|_| changed())?;
        events.push(event);
    }
    if at == head { Ok(events) } else { Err(changed()) }
}
