//! Effects of a turn on children, carried out once the turn is durable. Each may happen twice.

use std::time::Duration;

use errand_model::RunId;
use errand_model::coordination::CoordinatorTurn;
use errand_model::event::CancelCause;
use errand_model::run::{Cancel, Run};
use tokio::task::JoinSet;

use crate::ask;
use crate::{Engine, Error};

/// Time that an agent has to end by itself unless a request says otherwise.
const GRACE: Duration = Duration::from_secs(10);
/// Number of children that are told at the same time.
const AT_ONCE: usize = 16;

/// Order to a child.
#[derive(Clone, Copy, Debug)]
enum ChildOrder {
    End { grace: Duration },
    Hold,
    GoOn,
}

/// Returns true if a turn has an order for any child.
pub(super) fn wants(turn: &CoordinatorTurn) -> bool {
    !(turn.stops.is_empty() && turn.holds.is_empty() && turn.releases.is_empty())
}

/// Tells the children. An order that fails is repeated at the next look.
pub(super) async fn carry_out(engine: &Engine, run: &Run, turn: &CoordinatorTurn) {
    let grace = run.cancel_requested.as_ref().map_or(GRACE, |request| request.grace);
    let ends = turn.stops.iter().map(|child| (child, ChildOrder::End { grace }));
    let holds = turn.holds.iter().map(|child| (child, ChildOrder::Hold));
    let go_on = turn.releases.iter().map(|child| (child, ChildOrder::GoOn));
    let all: Vec<_> = ends.chain(holds).chain(go_on).collect();
    let mut telling = JoinSet::new();
    for (child, told) in all {
        if telling.len() >= AT_ONCE {
            drop(telling.join_next().await);
        }
        let (engine, child) = (engine.clone(), child.clone());
        telling.spawn(async move { drop(Box::pin(tell(&engine, &child, told)).await) });
    }
    while telling.join_next().await.is_some() {}
}

async fn tell(engine: &Engine, child: &RunId, told: ChildOrder) -> Result<(), Error> {
    match told {
        ChildOrder::End { grace } => {
            let cancel = Cancel { cause: CancelCause::Parent, by: None, grace };
            Ok(ask::begin_cancel(engine, child, &cancel).await.map(drop)?)
        }
        ChildOrder::Hold => Ok(ask::begin_pause(engine, child).await.map(drop)?),
        ChildOrder::GoOn => Ok(ask::begin_resume(engine, child).await.map(drop)?),
    }
}
