//! What a journal has decided and not written yet.

use errand_model::event::EventBody;
use errand_model::run::Run;
use errand_model::step::{Step, Steps};
use errand_model::{Event, EventContext, Head, RunId, Timestamp};
use errand_store::{Append, DocumentWrite, Lease};

use super::full_disk::Written;
use super::output;
use crate::reserve::DiskReserve;
use crate::{Error, coordinate, lease, record_file};

/// A run as it is decided so far, durable or not.
#[derive(Debug)]
pub(super) struct State {
    pub(super) run: Run,
    pub(super) head: Head,
    pub(super) steps: Steps,
    pub(super) batch: Batch,
    pub(super) output: output::Pending,
    /// Nothing more is taken in: the last events are being written.
    pub(super) closed: bool,
    /// With these last events the run belongs to nobody: others write its journal from here on.
    pub(super) lets_go: bool,
    /// The run that carries on, if this process holds it.
    pub(super) successor: Option<(RunId, Lease)>,
    /// The last that is durable.
    pub(super) written: Written,
    /// What could not be written, once the journal is lost.
    pub(super) unwritten: Option<Append>,
    /// Space for the end of the attempt on a full disk.
    pub(super) reserve: Option<DiskReserve>,
}

/// Events that are decided and not durable yet.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) events: Vec<Event>,
    pub(super) steps: Vec<Step>,
    pub(super) answered: Vec<i64>,
    pub(super) is_transition: bool,
    /// What changes beside the journal in the same commit.
    pub(super) documents: Vec<DocumentWrite>,
}

impl State {
    /// A run as it is kept.
    pub(super) fn new(run: Run, head: Head, steps: Steps) -> Self {
        Self {
            written: Written::of(&run, head),
            unwritten: None,
            reserve: None,
            run,
            head,
            steps,
            batch: Batch::default(),
            output: output::Pending::default(),
            closed: false,
            lets_go: false,
            successor: None,
        }
    }

    /// Applies, seals and queues what was decided.
    pub(super) fn take_in(&mut self, events: &[EventBody], now: Timestamp) -> Result<(), Error> {
        for body in events {
            let attempt = if let EventBody::AttemptStarted(started) = body {
                started.number
            } else {
                self.run.last_attempt_number()
            };
            let context = EventContext { at: now, attempt };
            self.run.apply(context, body)?;
            if let Some(step) = self.steps.apply(now, attempt, body) {
                let step = step.clone();
                self.batch.steps.push(step);
            }
            let event = self.head.seal(&self.run.id, now, attempt, body);
            self.batch.events.push(event);
            self.batch.is_transition |= record_file::is_transition(body);
        }
        // Without a process nobody is needed; and what any worker may claim, one does once it is due.
        let goes_back = events.iter().any(|body| matches!(body, EventBody::RunRequeued(_)))
            && lease::place_of(&self.run).is_some();
        self.lets_go |= self.run.is_at_rest() || goes_back || coordinate::is_let_go(&self.run);
        self.closed |= self.lets_go;
        Ok(())
    }
}
