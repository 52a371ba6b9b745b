//! Limits on time: looked at when they are due.

use crate::Engine;
use crate::journal::Journal;

/// Waits until time alone brings a warning, or the end of a limit.
pub(super) async fn due(engine: &Engine, journal: &Journal) {
    let changed = |seen: Option<errand_model::Timestamp>| {
        journal.until(move |run| {
            let next = run.next_meter();
            (next != seen).then_some(())
        })
    };
    loop {
        let next = journal.look(|run, _| run.next_meter());
        let sleep = async {
            match next {
                Some(at) => tokio::time::sleep(at.since(engine.now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => return,
            again = changed(next) => {
                if again.is_err() {
                    // The journal is lost, which is told elsewhere.
                    return std::future::pending().await;
                }
            }
        }
    }
}
