//! Verification of runs in the registry.

use errand_api::record::{JournalHead, RunRecord};
use errand_model::run::Run;
use errand_model::{Event, EventContext, Head, RunId, Tampered, Tampering, diagnose};
use errand_store::{Evidence, FinalSnapshot, RegistryError, files};

use super::blobs::Named;
use super::lines::Lines;
use super::{Error, EvidencePlace, EvidenceProblem, Finding, VerifiedRegistry, is_terminal, known};
use crate::Engine;
use crate::error::IoFailure;

/// Events read at once.
const PAGE: u32 = 5_000;
/// Number of events read behind the first invalid one, to find out how it was tampered with.
const REST_LIMIT: usize = 100_000;
/// Longest journal that is also folded and compared with the stored state; `errand registry check`
/// does that for longer ones.
const FOLD_LIMIT: u64 = 20_000;
/// Longest record that is read as a witness.
const RECORD_LIMIT_BYTES: u64 = 256 * 1024 * 1024;
/// Runs listed at once.
const RUNS_PAGE: u32 = 1_000;

/// Verifies one run: every event in the registry and in the file, the ends of both, the registry's
/// row of the run, and the blobs that events name.
///
/// A live run grows meanwhile: its file may be behind, and its end is not sealed.
///
/// # Errors
///
/// [`errand_store::Error::NoRun`]; if the registry or a file cannot be read. A deviation is a
/// finding, not an error.
pub async fn verify_run(engine: &Engine, run_id: &RunId) -> Result<VerifiedRegistry, Error> {
    let Some(evidence) = engine.store().evidence(run_id).await? else {
        return Err(errand_store::Error::NoRun { run_id: run_id.clone() }.into());
    };
    let mut walk = Walk::new(engine, run_id)?;
    let mut after = None;
    loop {
        let events = engine.store().scan(run_id, after, PAGE).await?;
        let Some(last) = events.last() else { break };
        after = Some(last.seq);
        for event in events {
            walk.take(event)?;
        }
        if walk.rest.len() >= REST_LIMIT {
            break;
        }
    }
    let stored = engine.store().load(run_id).await.ok().flatten();
    walk.finish_registry(&evidence, stored.as_ref().map(|stored| (&stored.run, stored.head)));
    walk.finish_file(engine).await?;
    if walk.rest.is_empty() {
        walk.findings.extend(walk.named.check(&engine.blobs())?);
    }
    Ok(VerifiedRegistry {
        run_id: run_id.clone(),
        events: walk.head.seq,
        is_sealed: walk.is_over,
        hash: walk.head.hash.to_string(),
        children: 0,
        findings: walk.findings,
    })
}

/// State of a walk along a journal.
struct Walk {
    run_id: RunId,
    head: Head,
    /// True if the last valid event is a terminal one.
    is_over: bool,
    /// Events behind the last valid one.
    rest: Vec<Event>,
    fold: Option<Run>,
    named: Named,
    lines: Lines,
    /// Head that the record file states.
    witness: Option<JournalHead>,
    /// Result of comparing `witness` with the event of its number.
    is_witnessed: Option<bool>,
    findings: Vec<Finding>,
}

impl Walk {
    fn new(engine: &Engine, run_id: &RunId) -> Result<Self, Error> {
        Ok(Self {
            run_id: run_id.clone(),
            head: Head::EMPTY,
            is_over: false,
            rest: Vec::new(),
            fold: None,
            named: Named::default(),
            lines: Lines::open(engine, run_id)?,
            witness: witness(engine, run_id)?,
            is_witnessed: None,
            findings: Vec::new(),
        })
    }

    fn take(&mut self, event: Event) -> Result<(), Error> {
        let before = self.head;
        // No event may follow a terminal one, whatever its hash.
        if !self.rest.is_empty() || self.is_over || self.head.verify(&event).is_err() {
            if self.rest.len() < REST_LIMIT {
                self.rest.push(event);
            }
            return Ok(());
        }
        self.is_over = is_terminal(&event);
        self.lines.compare(before, &event)?;
        self.named.note(&event);
        self.fold_in(&event);
        if let Some(witness) = self.witness.as_ref().filter(|witness| witness.seq == event.seq) {
            self.is_witnessed = Some(witness.hash == event.hash.to_string());
        }
        Ok(())
    }

    fn fold_in(&mut self, event: &Event) {
        if event.seq > FOLD_LIMIT {
            self.fold = None;
            return;
        }
        // An event of a newer program cannot be folded, yet may be exactly what was written.
        self.fold = match (self.fold.take(), event.seq) {
            (None, 1) => Run::fold([event]).ok(),
            (Some(mut run), _) => known(event).and_then(|body| {
                let context = EventContext { at: event.at, attempt: event.attempt };
                run.apply(context, &body).ok().map(|()| run)
            }),
            (None, _) => None,
        };
    }

    fn find(&mut self, place: EvidencePlace, problem: EvidenceProblem) {
        self.findings.push(Finding { place, problem });
    }

    /// Compares the journal's end with the registry's row of the run.
    fn finish_registry(&mut self, evidence: &Evidence, stored: Option<(&Run, Head)>) {
        let event = |seq, tampering| EvidenceProblem::Event(Tampered { seq, tampering });
        let next = self.head.seq + 1;
        let is_over_there =
            matches!(evidence.status.as_str(), "completed" | "failed" | "cancelled");
        if !self.rest.is_empty() {
            let told = if self.is_over {
                Tampered { seq: next, tampering: Tampering::Added }
            } else {
                diagnose(self.head, &self.rest)
            };
            return self.find(EvidencePlace::Registry, EvidenceProblem::Event(told));
        }
        let Some(head) = evidence.head else {
            return self.find(
                EvidencePlace::Registry,
                EvidenceProblem::Row { what: "the end of its journal" },
            );
        };
        if self.head.seq < head.seq || (is_over_there && !self.is_over) {
            return self.find(EvidencePlace::Registry, event(next, Tampering::Removed));
        }
        if self.is_over && self.head.seq > head.seq && is_over_there {
            return self.find(EvidencePlace::Registry, event(head.seq + 1, Tampering::Added));
        }
        if self.head.seq == head.seq && self.head.hash != head.hash {
            return self.find(EvidencePlace::Registry, event(head.seq, Tampering::Changed));
        }
        let Some(run) = self.fold.as_ref().filter(|_| self.head.seq == head.seq) else { return };
        let is_stored = stored.is_none_or(|(kept, at)| at != self.head || kept == run);
        let what = if evidence.status != run.status.name() {
            Some("its status")
        } else if evidence.ended_at != run.status.ended_at() {
            Some("when it ended")
        } else if stored.is_none() || !is_stored {
            Some("its stored state")
        } else {
            None
        };
        if let Some(what) = what {
            self.find(EvidencePlace::Registry, EvidenceProblem::Row { what });
        }
    }

    async fn finish_file(&mut self, engine: &Engine) -> Result<(), Error> {
        let place = EvidencePlace::File(self.lines.path.clone());
        if !self.findings.is_empty() {
            // The file is the only witness of events that the registry lost.
            self.lines.alone(self.head)?;
        } else if self.is_over {
            self.lines.end(self.head, true)?;
        }
        let is_live = !self.is_over && self.findings.is_empty();
        for event in std::mem::take(&mut self.lines.twice) {
            let after = event.seq.checked_sub(1);
            let kept = engine.store().scan(&self.run_id, after, 1).await?;
            if kept.first() != Some(&event) {
                let told = Tampered { seq: event.seq, tampering: Tampering::Added };
                self.find(place, EvidenceProblem::Event(told));
                return Ok(());
            }
        }
        let Some(told) = self.lines.found() else {
            if self.is_witnessed == Some(false) {
                let seq = self.witness.as_ref().map_or(0, |witness| witness.seq);
                let told = Tampered { seq, tampering: Tampering::Changed };
                let path = engine.registry().run_record(&self.run_id);
                self.find(EvidencePlace::File(path), EvidenceProblem::Event(told));
            }
            return Ok(());
        };
        // A registry shared by several machines keeps no journals in files.
        let has_none = self.lines.is_missing() && engine.store().shared_logs().is_some();
        // A commit writes the file last.
        let may_lack = is_live || has_none;
        if self.lines.is_behind() && (may_lack || self.was_killed(engine, told.seq).await?) {
            return Ok(());
        }
        // Both journals have valid chains but differ: the record file tells which was written.
        let is_forged = told.tampering == Tampering::Changed && self.is_witnessed == Some(false);
        let place =
            if is_forged && self.findings.is_empty() { EvidencePlace::Registry } else { place };
        self.find(place, EvidenceProblem::Event(told));
        Ok(())
    }
}

impl Walk {
    /// Returns true if the file lacks the events from `seq` on because the process that committed
    /// them died or has not written them yet. The record, which is written after the file, does not
    /// know them either then. If a supervisor ended the run, they are also in the terminal
    /// snapshot, which is written earlier.
    async fn was_killed(&self, engine: &Engine, seq: u64) -> Result<bool, Error> {
        if self.witness.as_ref().is_some_and(|witness| witness.seq >= seq) {
            return Ok(false);
        }
        let snapshot = match FinalSnapshot::read(engine.registry(), &self.run_id) {
            Ok(Some(snapshot)) => snapshot,
            // No supervisor ended the run: a coordinator, or a run cancelled while it waited.
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        };
        let before = snapshot.head_before.seq;
        let kept = engine.store().scan(&self.run_id, Some(before), PAGE).await?;
        Ok(before < seq && kept == snapshot.events)
    }
}

/// Returns the journal head in the record file; `None` if it cannot be read. The record is meant
/// for people, and is written last.
fn witness(engine: &Engine, run_id: &RunId) -> Result<Option<JournalHead>, Error> {
    let path = engine.registry().run_record(run_id);
    let text = match files::read(engine.registry(), &path, RECORD_LIMIT_BYTES) {
        Ok(text) => text.unwrap_or_default(),
        Err(RegistryError::File { doing, path, source }) => {
            return Err(IoFailure { doing, path, source }.into());
        }
        Err(_) => return Ok(None),
    };
    let record: Option<RunRecord> = serde_json::from_slice(&text).ok();
    Ok(record.filter(|record| record.run_id == *run_id).and_then(|record| record.journal))
}

/// Verifies all runs, oldest first, and passes each result to `take`. A run that has files but is
/// not in the registry is a finding.
///
/// # Errors
/// As [`verify_run`], and errors of `take`.
pub async fn verify_all<E: From<Error>>(
    engine: &Engine,
    mut take: impl FnMut(VerifiedRegistry) -> Result<(), E>,
) -> Result<(), E> {
    let mut known = std::collections::BTreeSet::new();
    let mut after: Option<RunId> = None;
    loop {
        let ids = engine.store().run_ids(after.as_ref(), RUNS_PAGE).await.map_err(Error::from)?;
        let Some(last) = ids.last() else { break };
        after = Some(last.clone());
        for run_id in ids {
            match verify_run(engine, &run_id).await {
                Ok(verified) => take(verified)?,
                // The run was removed meanwhile.
                Err(Error::Store(errand_store::Error::NoRun { .. })) => {}
                Err(error) => return Err(error.into()),
            }
            known.insert(run_id);
        }
    }
    for run_id in with_files(engine)? {
        if !known.contains(&run_id)
            && engine.store().evidence(&run_id).await.map_err(Error::from)?.is_none()
        {
            let place = EvidencePlace::File(engine.registry().run_events(&run_id));
            let findings = vec![Finding { place, problem: EvidenceProblem::RunMissing }];
            let hash = Head::EMPTY.hash.to_string();
            take(VerifiedRegistry {
                run_id,
                events: 0,
                is_sealed: false,
                hash,
                children: 0,
                findings,
            })?;
        }
    }
    Ok(())
}

/// Returns the runs that have a journal file, oldest first.
fn with_files(engine: &Engine) -> Result<Vec<RunId>, Error> {
    let folder = engine.registry().runs();
    let unread = |source| IoFailure { doing: "read", path: folder.clone(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(unread)? {
        let name = entry.map_err(unread)?.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".events.jsonl"));
        found.extend(id.and_then(|id| id.parse::<RunId>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}
