//! Runs whose supervisor died: what really is, against what the registry says.
//!
//! Whoever reads a run reconciles it. Two who do so at once are told apart by the lease: one takes
//! it, the other looks again.

use std::time::Duration;

use errand_agent::os::{self, Liveness};
use errand_model::run::{Cancel, Decision, Effect, Expire, Lose, Run};
use errand_model::{Event, EventContext, Head};
use errand_store::{Append, Fence, FinalSnapshot, Lease, RequestKind, Stored};

use crate::{Engine, Error, launch, outbox, record_file, rest, wait};

/// How long processes that outlived their supervisor have to end by themselves.
const STRAY_GRACE: Duration = Duration::from_millis(500);
/// How often a race for a lease is run again before its loser reports what it sees.
const TRIES: usize = 16;

/// Brings one run up to date with what really is. Returns it as it is afterwards.
///
/// # Errors
///
/// If the registry fails.
pub async fn reconcile(engine: &Engine, mut stored: Stored) -> Result<Stored, Error> {
    for _ in 0..TRIES {
        if stored.run.status.is_terminal() || is_supervised(engine, &stored) {
            return Ok(stored);
        }
        if stored.run.is_at_rest() {
            match expire(engine, &stored).await? {
                Expired::Nothing => return Ok(stored),
                Expired::Changed(fresh) => stored = *fresh,
            }
            continue;
        }
        let run_id = stored.run.id.clone();
        let taken = engine.store().take(&run_id, stored.epoch, engine.holder().clone(), None).await;
        match taken {
            // Rare, and large: kept out of every future that waits for a run.
            Ok(lease) => Box::pin(settle(engine, &run_id, &lease)).await?,
            Err(errand_store::Error::Fenced { .. } | errand_store::Error::Sealed { .. }) => {}
            Err(errand_store::Error::ReadOnly { .. }) => return Ok(stored),
            Err(error) => return Err(error.into()),
        }
        match engine.store().load(&run_id).await? {
            Some(fresh) => stored = fresh,
            None => return Ok(stored),
        }
    }
    Ok(stored)
}

/// What became of the deadlines of a run that waits for people without a process.
enum Expired {
    Nothing,
    /// The run as it is now.
    Changed(Box<Stored>),
}

/// Applies deadlines that have passed: nobody else watches them.
async fn expire(engine: &Engine, stored: &Stored) -> Result<Expired, Error> {
    if stored.run.answer_deadline().is_none_or(|deadline| engine.now() < deadline) {
        return Ok(Expired::Nothing);
    }
    match rest::command(engine, stored, &Expire {}.into()).await {
        Err(Error::Store(errand_store::Error::ReadOnly { .. })) => return Ok(Expired::Nothing),
        Err(error) if rest::is_race(&error) => {}
        decided => drop(decided?),
    }
    let fresh = engine.store().load(&stored.run.id).await?;
    Ok(fresh.map_or(Expired::Nothing, |fresh| Expired::Changed(Box::new(fresh))))
}

/// Whether somebody lives who will carry the run on.
pub fn is_supervised(engine: &Engine, stored: &Stored) -> bool {
    if stored.run.is_at_rest() {
        // Nobody is needed until a person answers, or a deadline passes.
        return stored.run.answer_deadline().is_none_or(|deadline| engine.now() < deadline);
    }
    if let Some(lease) = &stored.lease {
        // Processes of other machines cannot be seen from here.
        return lease.holder.host != engine.holder().host
            || os::liveness(&lease.holder.process) == Liveness::Alive;
    }
    if stored.run.spec.host != engine.holder().host {
        return true;
    }
    // No one holds it. Before the first attempt its launcher may be about to hand it over.
    stored.run.attempts.is_empty()
        && stored.run.spec.launcher.as_ref().is_some_and(|it| os::liveness(it) == Liveness::Alive)
}

/// Whether this process may signal the holder of the lease: it is proven to be that process.
pub(crate) fn is_here(engine: &Engine, lease: &Lease) -> bool {
    lease.holder.host == engine.holder().host
}

/// Under a lease just taken: ends what still lives, then records how the run stands.
async fn settle(engine: &Engine, run_id: &errand_model::RunId, lease: &Lease) -> Result<(), Error> {
    let Some(stored) = engine.store().load(run_id).await? else { return Ok(()) };
    if stored.run.is_at_rest() {
        // It parked itself just before its lease was taken, and belongs to nobody.
        return Ok(engine.store().give_back(run_id, lease.epoch).await?);
    }
    let known: Vec<_> =
        stored.run.live_attempt().and_then(|live| live.process.clone()).into_iter().collect();
    if !stored.run.attempts.is_empty() {
        os::end_run_processes(run_id, &known, STRAY_GRACE)
            .map_err(Error::io("end the processes of", engine.registry().run_log(run_id)))?;
        // The agent may have written a secret there, and nobody takes it any more.
        drop(std::fs::remove_file(engine.registry().run_scratch(run_id).join("output")));
    }
    if let Some(append) = from_snapshot(engine, &stored, lease)? {
        return commit(engine, append).await;
    }
    let now = engine.now().max(wait::last_at(engine, &stored).await?);
    let attempt = stored.run.last_attempt_number();
    let context = || EventContext { at: now, attempt };
    let (mut run, mut bodies) = (stored.run.clone(), Vec::new());
    // What was asked of the dead supervisor is answered by whoever took its place.
    for request in engine.store().requests(run_id).await? {
        let RequestKind::Cancel { cause, by, grace } = request.kind else { continue };
        if let Ok(asked) = run.decide(&Cancel { cause, by, grace }.into(), now) {
            run = run.apply_all(context(), &asked.events)?;
            bodies.extend(asked.events);
        }
    }
    let mut dispatches = false;
    if let Ok(expired) = run.decide(&Expire {}.into(), now) {
        run = run.apply_all(context(), &expired.events)?;
        dispatches = has_dispatch(&expired);
        bodies.extend(expired.events);
    }
    if !run.status.is_terminal() && !dispatches {
        let Ok(lost) = run.decide(&Lose { epoch: lease.epoch }.into(), now) else { return Ok(()) };
        run = run.apply_all(context(), &lost.events)?;
        dispatches = has_dispatch(&lost);
        bodies.extend(lost.events);
    }
    if !bodies.is_empty() {
        let mut head = stored.head;
        let events: Vec<Event> =
            bodies.iter().map(|body| head.seal(run_id, now, attempt, body)).collect();
        commit(engine, append(run, head, events, lease)).await?;
    }
    if dispatches {
        // The run waits for another attempt: a helper of its own takes it from here.
        launch::hand_over(engine, run_id, lease).await?;
    }
    Ok(())
}

fn has_dispatch(decision: &Decision) -> bool {
    decision.effects.iter().any(|effect| matches!(effect, Effect::Dispatch { .. }))
}

/// What the dead helper wrote as its last word, if it fits the run exactly.
fn from_snapshot(engine: &Engine, stored: &Stored, lease: &Lease) -> Result<Option<Append>, Error> {
    // A snapshot that is damaged or of another run says nothing about this one.
    let Ok(Some(snapshot)) = FinalSnapshot::read(engine.registry(), &stored.run.id) else {
        return Ok(None);
    };
    let fits = snapshot.attempt == stored.run.last_attempt_number()
        && snapshot.epoch == stored.run.epoch
        && snapshot.head_before == stored.head;
    if !fits {
        return Ok(None);
    }
    let mut run: Run = stored.run.clone();
    let mut head: Head = stored.head;
    for event in &snapshot.events {
        let Ok(body) = event.body() else { return Ok(None) };
        let context = EventContext { at: event.at, attempt: event.attempt };
        if head.verify(event).is_err() || run.apply(context, &body).is_err() {
            return Ok(None);
        }
    }
    Ok(run.status.is_terminal().then(|| append(run, head, snapshot.events, lease)))
}

fn append(run: Run, head: Head, events: Vec<Event>, lease: &Lease) -> Append {
    let release = run.is_at_rest();
    let documents = outbox::documents(&run, &events);
    Append {
        run,
        head,
        events,
        steps: Vec::new(),
        fence: Fence { epoch: lease.epoch },
        snapshot: true,
        release,
        requeue: None,
        answered: Vec::new(),
        documents,
    }
}

async fn commit(engine: &Engine, append: Append) -> Result<(), Error> {
    let (run, head) = (append.run.clone(), append.head);
    engine.store().append(append).await?;
    record_file::write_quietly(engine, &run, head, Some(engine.holder()));
    log_line(engine, &run);
    Ok(())
}

/// The run's log says what became of it too.
fn log_line(engine: &Engine, run: &Run) {
    let path = engine.registry().run_log(&run.id);
    let text = format!("run {}: found by reconciliation", run.status.name());
    if let Ok(log) = errand_agent::log::Writer::open(&path) {
        log.system(&text);
    }
}
