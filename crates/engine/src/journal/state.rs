//! The state of a journal in the hands of its supervisor: decided so far, durable or not.

use errand_model::draft::{DraftError, JournalDraft};
use errand_model::event::{EventBody, OutputDelta};
use errand_model::run::{AttemptReport, Command, Decision, Run};
use errand_model::{RunId, Timestamp};
use errand_store::{DocumentWrite, Lease};

use tokio::time::Instant;

use super::record::Unrecorded;
use super::{Error, output};
use crate::commit::{Commit, Writer};
use crate::reserve::DiskReserve;
use crate::{lease, news};

/// A run as it is decided so far.
#[derive(Debug)]
pub(super) struct State {
    /// The run, and the events that no commit has taken yet.
    pub(super) draft: JournalDraft,
    /// Requests that the next commit answers.
    pub(super) answered: Vec<i64>,
    /// Changes of documents in the next commit.
    pub(super) documents: Vec<DocumentWrite>,
    pub(super) output: output::Pending,
    /// Set once the last events are decided: nothing more is taken in.
    pub(super) closed: bool,
    /// Set once the lease ends with the last events: others write the journal from then on.
    pub(super) lets_go: bool,
    /// Successor of the run, if this process holds it.
    pub(super) successor: Option<(RunId, Lease)>,
    /// The commit that failed, once the journal is lost.
    pub(super) unwritten: Option<Commit>,
    /// State that the record file does not show yet.
    pub(super) unrecorded: Option<Unrecorded>,
    /// Disk space for the end of the attempt on a full disk.
    pub(super) reserve: Option<DiskReserve>,
    /// Time at which that space is reserved; `None`: it is, or never will be.
    pub(super) reserve_due_at: Option<Instant>,
}

impl State {
    /// Returns the state of a run as stored.
    pub(super) fn new(draft: JournalDraft) -> Self {
        Self {
            draft,
            answered: Vec::new(),
            documents: Vec::new(),
            output: output::Pending::default(),
            closed: false,
            lets_go: false,
            successor: None,
            unwritten: None,
            unrecorded: None,
            reserve: None,
            reserve_due_at: None,
        }
    }

    pub(super) fn run(&self) -> &Run {
        self.draft.run()
    }

    /// Returns the number of the last decided event.
    pub(super) fn last_seq(&self) -> u64 {
        self.draft.head().seq
    }

    /// Returns whether there are events for the next commit.
    pub(super) fn has_events(&self) -> bool {
        !self.draft.added().events.is_empty()
    }

    /// Decides a command and adds its events.
    pub(super) fn command(
        &mut self,
        command: &Command,
        now: Timestamp,
    ) -> Result<Decision, DraftError> {
        let decision = self.draft.command(command, now)?;
        self.note_end(&decision.events);
        Ok(decision)
    }

    /// Closes the journal if events were its last under this lease: the run waits for a person, for
    /// its children or in the queue, none of which needs a process.
    fn note_end(&mut self, bodies: &[EventBody]) {
        let run = self.draft.run();
        let is_requeued = bodies.iter().any(|body| matches!(body, EventBody::RunRequeued(_)))
            && lease::place_of(run).is_some();
        self.lets_go |= run.is_at_rest() || is_requeued || news::is_let_go(run);
        self.closed |= self.lets_go;
    }

    /// Takes all that is decided and not yet on its way to the store.
    pub(super) fn take_commit(&mut self, epoch: u64, now: Timestamp) -> Commit {
        let added = self.draft.take();
        let mut documents = std::mem::take(&mut self.documents);
        if self.lets_go {
            // Due when the events are heard of, so not later than they.
            let at = added.events.last().map_or(now, |last| last.at);
            documents.extend(news::on_release(self.run(), at));
        }
        Commit {
            run: self.run().clone(),
            head: self.draft.head(),
            added,
            writer: Writer::Supervisor { epoch, lets_go: self.lets_go },
            answered: std::mem::take(&mut self.answered),
            documents,
            stores_fold: false,
        }
    }

    /// Adds the pending text as one event. Drops the text of an attempt that may not report any
    /// more.
    pub(super) fn flush_output(&mut self, now: Timestamp) -> Result<(), Error> {
        self.output.due_at = None;
        if self.output.text.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.output.text);
        let offset = self.output.offset;
        self.output.offset = offset.saturating_add(output::bytes(text.len()));
        let delta = OutputDelta { text, offset: Some(offset) };
        let events = vec![EventBody::OutputDelta(delta)];
        let report = AttemptReport { attempt: self.output.attempt, events };
        match self.command(&report.into(), now) {
            Ok(_) | Err(DraftError::Rejected(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts the commit that failed before what was decided since.
    pub(super) fn put_back_unwritten(&mut self) {
        let Some(Commit { added, mut answered, mut documents, .. }) = self.unwritten.take() else {
            return;
        };
        self.draft.put_back(added);
        answered.append(&mut self.answered);
        documents.append(&mut self.documents);
        (self.answered, self.documents) = (answered, documents);
    }
}
