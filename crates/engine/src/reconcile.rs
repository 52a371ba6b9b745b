//! Reconciliation: brings a run up to date whose supervisor is dead. Every process that reads a run
//! reconciles it. Of two that do so at once, one takes the lease; the other loads the run again.

use std::time::Duration;

use errand_agent::os::{self, Liveness};
use errand_model::draft::{DraftError, JournalDraft, Position};
use errand_model::event::{CancelCause, ProcessUsage};
use errand_model::run::{
    AttemptOutcome, AttemptReport, CallerCommand, Cancel, Command, Decision, Effect, EndAttempt,
    Expire, Lose, Resume, Run, RunAttempt, Status,
};
use errand_model::step::Steps;
use errand_model::{RunId, Timestamp};
use errand_store::{FinalSnapshot, Lease, Stored};
use futures_util::future::BoxFuture;

use crate::adopt::{self, Adopter};
use crate::commit::{self, Admits, Commit, Writer, commit};
use crate::cut_calls::CutCalls;
use crate::error::{CodedError, IoFailure, RunEnding, operation_error};
use crate::run_to_completion::run_to_completion;
use crate::{
    Engine, attempt_paths, environment, equipment, family, handover, kept, launch, lease, logs,
    reserve, stored, unheld,
};

operation_error! {
    /// Error: a run cannot be reconciled.
    pub enum Error {
        /// The store failed or refused.
        Store(errand_store::Error),
        /// The model refuses the command.
        Draft(DraftError),
        /// A decision about a run that no process holds cannot be made.
        Unheld(unheld::Error),
        /// No helper process carries the run on.
        Launch(launch::Error),
        /// The successor of a handoff cannot be started.
        Handover(handover::Error),
        /// Processes of the run cannot be ended.
        Io(IoFailure),
        /// The run, or this process, is ending.
        Ending(RunEnding),
    }
}

/// Time that processes have to end which outlived their supervisor.
const STRAY_GRACE: Duration = Duration::from_millis(500);
/// Number of tries to take a lease before the run is returned as it is.
const TRIES: usize = 16;

/// Brings one run up to date, and returns it as it is afterwards.
///
/// # Errors
///
/// If the registry fails.
pub fn reconcile(engine: &Engine, mut stored: Stored) -> BoxFuture<'_, Result<Stored, Error>> {
    Box::pin(async move {
        let (mut has_tried_secrets, mut has_tried_adoption) = (false, false);
        for _ in 0..TRIES {
            if stored.run.status.is_terminal() {
                return Ok(stored);
            }
            if cancel_if_asked(engine, &stored).await? {
                let Some(fresh) = engine.store().load(&stored.run.id).await? else {
                    return Ok(stored);
                };
                stored = fresh;
                continue;
            }
            if !std::mem::replace(&mut has_tried_secrets, true)
                && let Changed::To(fresh) = resume_with_secrets(engine, &stored).await?
            {
                stored = *fresh;
                continue;
            }
            if is_carried_on(engine, &stored).await? {
                return Ok(stored);
            }
            if stored.run.is_at_rest() {
                match expire(engine, &stored).await? {
                    Changed::Nothing => return Ok(stored),
                    Changed::To(fresh) => stored = *fresh,
                }
                continue;
            }
            if adopt::is_left(engine, &stored).await? {
                return Ok(stored);
            }
            let is_adoption = adopt::adopter_of(engine, &stored) == Adopter::Helper;
            if is_adoption && std::mem::replace(&mut has_tried_adoption, true) {
                // The helper could not: the agent is left as it is, until the next look.
                return Ok(stored);
            }
            let run_id = stored.run.id.clone();
            match take_and_settle(engine, &stored).await {
                Ok(()) => {}
                Err(Error::Launch(_)) if is_adoption => return Ok(stored),
                Err(error) if is_taken_over(&error) => {}
                Err(error) if is_read_only(&error) => return Ok(stored),
                Err(error) => return Err(error),
            }
            match engine.store().load(&run_id).await? {
                Some(fresh) => stored = fresh,
                None => return Ok(stored),
            }
        }
        Ok(stored)
    })
}

/// Takes the lease of a run without a supervisor, and settles the run. The work is finished even if
/// the caller is dropped; a lease with which nothing could be done is given back.
///
/// # Errors
///
/// [`errand_store::Error::Fenced`] if another process was faster; as [`settle`].
pub(crate) async fn take_and_settle(engine: &Engine, stored: &Stored) -> Result<(), Error> {
    let (engine, run, seen_epoch) = (engine.clone(), stored.run.clone(), stored.epoch);
    // Rare, and large: kept out of every future that waits for a run.
    let work = Box::pin(async move {
        let lease = lease::borrow(&engine, &run, seen_epoch).await?;
        let settled = settle(&engine, &run.id, &lease).await;
        if settled.is_err() {
            lease::give_back(&engine, &run, &lease).await;
        }
        settled
    });
    run_to_completion(work).await
}

/// Returns true if a live process will carry the run on, be it the one process of a family.
async fn is_carried_on(engine: &Engine, stored: &Stored) -> Result<bool, Error> {
    let run = &stored.run;
    if stored.lease.is_some() || run.is_at_rest() {
        return Ok(is_supervised(engine, stored));
    }
    match family::of(run) {
        Some(_) if family::is_top(run) => Ok(family::is_kept(engine, run).await?),
        Some(top) => {
            // Reconciling the coordinator is the only care for its family.
            if let Ok(top) = top.parse::<RunId>()
                && let Some(top) = engine.store().load(&top).await?
            {
                reconcile(engine, top).await?;
            }
            Ok(is_supervised(engine, stored))
        }
        None => Ok(is_supervised(engine, stored)),
    }
}

/// Cancels an unheld run, if its supervisor released it before it read a request to
/// cancel. Returns true if the run has to be loaded again.
async fn cancel_if_asked(engine: &Engine, stored: &Stored) -> Result<bool, Error> {
    let is_left = stored.open_requests > 0 && stored.lease.is_none() && unheld::is_free(stored);
    if !is_left || stored.run.is_coordinating() {
        // A coordinator reads its requests itself.
        return Ok(false);
    }
    for request in engine.store().requests(&stored.run.id).await? {
        let CallerCommand::Cancel(cancel) = request.command else { continue };
        return match unheld::command(engine, stored, &cancel.into()).await {
            Ok(decision) => Ok(!decision.events.is_empty()),
            Err(error) if unheld::is_race(&error) => Ok(true),
            Err(error) if error.rejection().is_some() || is_read_only(&error) => Ok(false),
            Err(error) => Err(error.into()),
        };
    }
    Ok(false)
}

/// Result of a step of reconciliation.
enum Changed {
    Nothing,
    /// The run changed: as it is now.
    To(Box<Stored>),
}

/// Resumes a run that waits for secrets, once the secret store has them. Secrets in the environment
/// of this process may be another person's, and count only for `resume`.
async fn resume_with_secrets(engine: &Engine, stored: &Stored) -> Result<Changed, Error> {
    let run = &stored.run;
    // If other machines make the attempts, their secret stores count.
    let is_elsewhere = run.spec.placement.is_some() && engine.is_of_fleet();
    if !run.awaits_secrets() || run.coordination.is_some() || is_elsewhere {
        return Ok(Changed::Nothing);
    }
    let Ok(parcel) = equipment::open(engine, run) else {
        return Ok(Changed::Nothing);
    };
    if !environment::store_has_all(engine.surroundings(), &parcel.agent) {
        return Ok(Changed::Nothing);
    }
    command_at_rest(engine, stored, &Resume { by: None }.into()).await
}

/// Applies deadlines that have passed: no other process watches them.
async fn expire(engine: &Engine, stored: &Stored) -> Result<Changed, Error> {
    if stored.run.answer_deadline().is_none_or(|deadline| engine.now() < deadline) {
        return Ok(Changed::Nothing);
    }
    command_at_rest(engine, stored, &Expire {}.into()).await
}

/// Decides a command about a run at rest, or finds that another process decided one.
async fn command_at_rest(
    engine: &Engine,
    stored: &Stored,
    command: &Command,
) -> Result<Changed, Error> {
    match unheld::command(engine, stored, command).await {
        Err(error) if is_read_only(&error) => return Ok(Changed::Nothing),
        Err(error) if unheld::is_race(&error) => {}
        decided => drop(decided?),
    }
    let fresh = engine.store().load(&stored.run.id).await?;
    Ok(fresh.map_or(Changed::Nothing, |fresh| Changed::To(Box::new(fresh))))
}

/// Returns true if the run needs no reconciliation: a live process will carry it on, or none is
/// needed now.
pub fn is_supervised(engine: &Engine, stored: &Stored) -> bool {
    if stored.run.is_at_rest() {
        // A resting run needs no process until a person answers, or a deadline passes.
        return stored.run.answer_deadline().is_none_or(|deadline| engine.now() < deadline);
    }
    if rests_until_boot(engine, stored) {
        // A request to the run brings it back.
        return stored.open_requests == 0;
    }
    if let Some(lease) = &stored.lease
        && let Some(ends) = lease.expires_at
    {
        if stored.run.spec.placement.is_none() && !is_here(engine, lease) {
            // Its processes and files are on that machine.
            return true;
        }
        let is_dead = || os::liveness(&lease.holder.process) == Liveness::Dead;
        let is_private = stored.run.spec.placement.is_none() || family::of(&stored.run).is_some();
        if is_private && is_here(engine, lease) && is_dead() {
            // The holder was the only process for this run, or for its whole family.
            return false;
        }
        // The holder's life does not matter: it renews the lease, or has lost the run.
        return engine.now() <= ends;
    }
    if stored.run.spec.placement.is_some() && stored.lease.is_none() {
        // The run is in the queue: a worker claims it in time, or the queue's deadline passes.
        return stored.run.queue_deadline().is_none_or(|deadline| engine.now() < deadline);
    }
    if let Some(lease) = &stored.lease {
        // Processes of other machines cannot be seen from here.
        return lease.holder.host != engine.holder().host
            || os::liveness(&lease.holder.process) == Liveness::Alive;
    }
    if stored.run.spec.host != engine.holder().host {
        return true;
    }
    // No lease is held. Before its first attempt, its launcher may be about to hand it over.
    stored.run.attempts.is_empty()
        && stored.run.spec.launcher.as_ref().is_some_and(|it| os::liveness(it) == Liveness::Alive)
}

/// Returns true for a service that a signal ended, and that comes back with the next boot of this
/// machine. Any request brings it back before.
pub(crate) fn rests_until_boot(engine: &Engine, stored: &Stored) -> bool {
    let holder = engine.holder();
    stored.run.spec.host == holder.host
        && stored.run.rests_until_boot().is_some_and(|last| last.is_of_same_boot(&holder.process))
}

/// Returns true if this process may signal the holder of the lease, which is on this machine.
pub(crate) fn is_here(engine: &Engine, lease: &Lease) -> bool {
    lease.holder.host == engine.holder().host
}

/// Ends remaining processes and records the state of the run, under a lease just taken.
pub(crate) async fn settle(engine: &Engine, run_id: &RunId, lease: &Lease) -> Result<(), Error> {
    let Some(stored) = engine.store().load(run_id).await? else { return Ok(()) };
    if stored.run.is_at_rest() {
        // The run came to rest just before its lease was taken, and needs no holder.
        return Ok(engine.store().give_back(run_id, lease.epoch).await?);
    }
    if adopt::adopter_of(engine, &stored) == Adopter::Helper {
        // A new helper goes on with the attempt.
        return Ok(launch::hand_over(engine, run_id, lease).await?);
    }
    if !stored.run.attempts.is_empty() {
        end_processes(engine, &stored.run).await?;
        // The agent may have written a secret there that no process will read.
        drop(std::fs::remove_file(attempt_paths::scratch(engine, &stored.run).join("output")));
        drop(std::fs::remove_file(attempt_paths::socket(engine, &stored.run)));
        kept::remove(engine, run_id);
    }
    let recovered = from_snapshot(engine, &stored).await?;
    reserve::free(engine.registry(), run_id);
    if let Some(draft) = recovered {
        return follow_snapshot(engine, draft, lease).await;
    }
    let now = engine.now().max(stored::last_at(engine, &stored).await?);
    let is_top = family::is_top(&stored.run);
    let mut verdict = Verdict::of(engine, stored, now).await?;
    verdict.decide(engine, lease, now).await?;
    let Verdict { draft, dispatches } = verdict;
    let goes_back = lease::place_of(draft.run()).is_some();
    if !draft.added().events.is_empty() {
        let decided = Commit::of(draft, Writer::Reconciler { epoch: lease.epoch });
        commit(engine, &decided, &Admits::Nothing).await?;
        log_line(engine, &decided.run);
    }
    if dispatches && (!goes_back || is_top) {
        // The run waits for another attempt: a new helper takes it from here.
        launch::hand_over(engine, run_id, lease).await?;
    }
    Ok(())
}

/// Ends the attempt of a process that worked for a coordinator, and starts a helper in its place,
/// under a lease just taken.
pub(crate) async fn hand_on(engine: &Engine, run_id: &RunId, lease: &Lease) -> Result<(), Error> {
    let Some(stored) = engine.store().load(run_id).await? else { return Ok(()) };
    let Some(live) = stored.run.live_attempt() else {
        return Ok(engine.store().give_back(run_id, lease.epoch).await?);
    };
    let now = engine.now().max(stored::last_at(engine, &stored).await?);
    let end = EndAttempt {
        task: None,
        attempt: live.number,
        outcome: AttemptOutcome::Drained,
        exit_code: None,
        signal: None,
        usage: ProcessUsage { wall: now.since(live.started_at), ..ProcessUsage::default() },
    };
    let mut verdict = Verdict::of(engine, stored, now).await?;
    verdict.command(&end.into(), now)?;
    let Verdict { draft, dispatches } = verdict;
    let decided = Commit::of(draft, Writer::Reconciler { epoch: lease.epoch });
    commit(engine, &decided, &Admits::Nothing).await?;
    if dispatches {
        launch::hand_over(engine, run_id, lease).await?;
    }
    Ok(())
}

/// Ends the agent of the run, and everything that it left behind, as far as this machine reaches
/// it.
async fn end_processes(engine: &Engine, run: &Run) -> Result<(), Error> {
    let Some(target) = engine.target_of(run) else { return Ok(()) };
    let known: Vec<_> = run.live_attempt().and_then(RunAttempt::locator).into_iter().collect();
    let path = engine.registry().run_log(&run.id);
    // A worker that lost the run may live: nothing of it is awaited.
    let is_placed = run.spec.placement.is_some();
    let grace = if is_placed { Duration::ZERO } else { STRAY_GRACE };
    let ended = target.end(&run.id, &known, grace).await;
    Ok(ended.map(drop).map_err(IoFailure::of("end the processes of", path))?)
}

/// Decision about a run whose supervisor is dead.
struct Verdict {
    draft: JournalDraft,
    /// Set if another attempt follows.
    dispatches: bool,
}

impl Verdict {
    /// Begins with the ends of calls that were under way.
    async fn of(engine: &Engine, stored: Stored, now: Timestamp) -> Result<Self, Error> {
        let cut = CutCalls::of(engine, (&stored.run, stored.head.seq), now).await?;
        let attempt = stored.run.last_attempt_number();
        let draft = JournalDraft::new(stored.run, stored.head, Steps::from_stored(cut.steps));
        let mut verdict = Self { draft, dispatches: false };
        if !cut.events.is_empty() {
            verdict.command(&AttemptReport { attempt, events: cut.events }.into(), now)?;
        }
        Ok(verdict)
    }

    async fn decide(
        &mut self,
        engine: &Engine,
        lease: &Lease,
        now: Timestamp,
    ) -> Result<(), Error> {
        // Requests to the dead supervisor are answered in its place.
        for request in engine.store().requests(&self.draft.run().id).await? {
            let CallerCommand::Cancel(cancel) = request.command else { continue };
            self.command(&cancel.into(), now)?;
        }
        self.command(&Expire {}.into(), now)?;
        let run = self.draft.run();
        let is_placed = run.spec.placement.is_some();
        if is_placed && run.queue_deadline().is_some_and(|deadline| now >= deadline) {
            let (cause, grace) = (CancelCause::QueueTimeout, Duration::ZERO);
            self.command(&Cancel { cause, by: None, grace }.into(), now)?;
        }
        if !self.draft.run().status.is_terminal() && !self.dispatches {
            self.command(&Lose { epoch: lease.epoch }.into(), now)?;
        }
        Ok(())
    }

    /// Adds the events of a command; none if the run refuses it.
    fn command(&mut self, command: &Command, now: Timestamp) -> Result<(), Error> {
        match self.draft.command(command, now) {
            Ok(decision) => {
                self.dispatches |= has_dispatch(&decision);
                Ok(())
            }
            Err(DraftError::Rejected(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn has_dispatch(decision: &Decision) -> bool {
    decision.effects.iter().any(|effect| matches!(effect, Effect::Dispatch { .. }))
}

/// Returns the run as the dead supervisor left it in its terminal snapshot, if that follows the
/// journal exactly and ends the run or its attempt.
async fn from_snapshot(engine: &Engine, stored: &Stored) -> Result<Option<JournalDraft>, Error> {
    // A snapshot that is damaged or of another run is ignored.
    let Ok(Some(snapshot)) = FinalSnapshot::read(engine.registry(), &stored.run.id) else {
        return Ok(None);
    };
    let FinalSnapshot { attempt, epoch, head_before: head, .. } = snapshot;
    if Position::of(&stored.run, stored.head) != (Position { head, attempt, epoch }) {
        return Ok(None);
    }
    let steps = Steps::from_stored(engine.store().steps(&stored.run.id).await?);
    let mut draft = JournalDraft::new(stored.run.clone(), stored.head, steps);
    if !snapshot.events.iter().all(|event| draft.adopt(event).is_ok()) {
        return Ok(None);
    }
    let run = draft.run();
    let is_end = run.status.is_terminal()
        || (stored.run.live_attempt().is_some() && run.live_attempt().is_none());
    Ok(is_end.then_some(draft))
}

/// Commits the end that the dead supervisor left in its terminal snapshot, and starts a helper if
/// another attempt follows.
async fn follow_snapshot(engine: &Engine, draft: JournalDraft, lease: &Lease) -> Result<(), Error> {
    let decided = Commit::of(draft, Writer::Recovery { epoch: lease.epoch });
    let run = &decided.run;
    if run.status.is_terminal() {
        return commit_end(engine, &decided).await;
    }
    commit(engine, &decided, &Admits::Nothing).await?;
    log_line(engine, run);
    let goes_back = decided.requeued().is_some();
    if matches!(run.status, Status::Pending { .. }) && (!goes_back || family::is_top(run)) {
        launch::hand_over(engine, &run.id, lease).await?;
    }
    Ok(())
}

/// Commits the end of a run, with the run that it was handed over to.
async fn commit_end(engine: &Engine, decided: &Commit) -> Result<(), Error> {
    let is_completed = matches!(decided.run.status, Status::Completed { .. });
    let successor = if is_completed {
        let at = decided.run.status.ended_at().unwrap_or_else(|| engine.now());
        handover::successor(engine, &decided.run, at).await?
    } else {
        None
    };
    let Some(successor) = successor else {
        commit(engine, decided, &Admits::Nothing).await?;
        log_line(engine, &decided.run);
        return Ok(());
    };
    let next = successor.run.clone();
    commit(engine, decided, &Admits::All(vec![successor.clone()])).await?;
    commit::write_record_of_new(engine, &successor, None);
    log_line(engine, &decided.run);
    if handover::needs_helper(&next) {
        launch::carry_on(engine, &next, 0)?;
    }
    Ok(())
}

/// Notes the result in the run's log.
fn log_line(engine: &Engine, run: &Run) {
    let text = format!("run {}: found by reconciliation", run.status.name());
    logs::note(engine, &run.id, run.last_attempt_number(), &text);
}

/// Returns whether another process was faster: it has taken the run over, or ended it.
pub(crate) fn is_taken_over(error: &impl CodedError) -> bool {
    use errand_store::Error::{Fenced, Sealed};
    matches!(error.store(), Some(Fenced { .. } | Sealed { .. }))
}

/// Returns whether the registry cannot be written.
fn is_read_only(error: &impl CodedError) -> bool {
    matches!(error.store(), Some(errand_store::Error::ReadOnly { .. }))
}
