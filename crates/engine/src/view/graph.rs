//! Graphs of the messages and handovers of coordinated runs.

use errand_api::graph::{Graph, GraphBuilder, of_handoffs};
use errand_api::message::{MessagePage, MessageReader};
use errand_model::RunId;
use errand_model::coordination::HANDOFF_LIMIT;
use errand_model::event::{Event, MessageType, TriggerKind};
use errand_model::run::Run;
use errand_store::Stored;

use crate::view::NotCoordinated;
use crate::{Engine, Error, reconcile, wait};

/// Events read at once.
const PAGE: u32 = 5_000;

/// Returns the communication graph of a coordinated run, brought up to date; for a run that was
/// handed over, the runs it was handed over to and from.
///
/// # Errors
///
/// [`super::NotCoordinated`] if the run is neither; [`errand_store::Error::NoRun`]; if the registry
/// fails.
pub async fn graph(engine: &Engine, run_id: &RunId) -> Result<Graph, Error> {
    let stored = reconcile::reconcile(engine, wait::load(engine, run_id).await?).await?;
    let Some(plan) = stored.run.spec.plan.as_deref() else {
        return handoffs(engine, stored.run).await;
    };
    let mut builder = GraphBuilder::new(&stored.run.spec.agent, plan);
    read(engine, (&stored, 0), |event| builder.push(event)).await?;
    let run = &stored.run;
    Ok(builder.finish((run_id, run.created_at), &run.status, engine.now()))
}

/// Returns the messages of a run after its event `after` (0: from the first on), at most `limit`,
/// of that type or of any. For an agent's run, only messages that it sent itself.
///
/// # Errors
///
/// [`errand_store::Error::NoRun`]; if the registry fails.
pub async fn sent_messages(
    engine: &Engine,
    run_id: &RunId,
    (after, limit): (u64, usize),
    kind: Option<MessageType>,
) -> Result<MessagePage, Error> {
    let stored = wait::load(engine, run_id).await?;
    let mut reader = MessageReader::new(limit, kind);
    // Events of a message's fate stand anywhere behind the message, so all events are read.
    read(engine, (&stored, after), |event| reader.push(event)).await?;
    Ok(reader.finish(run_id.clone(), stored.run.status.is_terminal()))
}

/// Reads the events of a run after number `after`, up to the head that was loaded.
async fn read(
    engine: &Engine,
    (stored, mut after): (&Stored, u64),
    mut take: impl FnMut(&Event) + Send,
) -> Result<(), Error> {
    while after < stored.head.seq {
        let events = engine.store().events(&stored.run.id, after, PAGE).await?;
        let Some(last) = events.last() else { break };
        after = last.seq;
        events.iter().filter(|event| event.seq <= stored.head.seq).for_each(&mut take);
    }
    Ok(())
}

/// Returns the graph of all runs that a run was handed over from and to.
async fn handoffs(engine: &Engine, run: Run) -> Result<Graph, Error> {
    let run_id = run.id.clone();
    let mut runs = vec![run];
    let mut place = 0;
    for _ in 0..HANDOFF_LIMIT {
        let Some(first) = runs.first() else { break };
        let Some(before) = load(engine, source(first)).await? else { break };
        if before.handoff.as_ref().map(|handoff| &handoff.run_id) != Some(&first.id) {
            break;
        }
        runs.insert(0, before);
        place += 1;
    }
    for _ in 0..HANDOFF_LIMIT {
        let handoff = runs.last().and_then(|last| last.handoff.as_ref());
        let next = handoff.map(|handoff| handoff.run_id.clone());
        let Some(next) = load(engine, next).await? else { break };
        runs.push(next);
    }
    of_handoffs(&runs, place, engine.now()).ok_or(NotCoordinated { run_id }.into())
}

/// Returns the run that started `run`, if the trigger names it.
fn source(run: &Run) -> Option<RunId> {
    let trigger = &run.spec.trigger;
    if trigger.kind != TriggerKind::Upstream {
        return None;
    }
    trigger.source.as_ref()?.parse().ok()
}

async fn load(engine: &Engine, run_id: Option<RunId>) -> Result<Option<Run>, Error> {
    let Some(run_id) = run_id else { return Ok(None) };
    Ok(engine.store().load(&run_id).await?.map(|stored| stored.run))
}
