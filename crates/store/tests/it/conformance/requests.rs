//! Requests to the holder of a lease.

use std::time::Duration;

use errand_model::event::CancelCause;
use errand_model::run::{CallerCommand, Cancel, Pause, Restart};
use errand_store::Error;

use super::StoreFactory;
use super::appending::started;
use crate::world::START;

fn commands() -> [CallerCommand; 3] {
    let grace = Duration::from_secs(10);
    [
        Pause::by_operator(Some("me".to_owned())).into(),
        Restart { by: None, grace }.into(),
        Cancel { cause: CancelCause::Stopped, by: None, grace }.into(),
    ]
}

pub(crate) async fn requests_wait_in_order_until_they_are_answered(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = started(&*store).await;
    let run_id = writer.run.id.clone();
    let asker = factory.open();
    let mut asked = Vec::new();
    for command in commands() {
        asked.push(asker.request(&run_id, command, START).await.unwrap());
    }
    let waiting = store.requests(&run_id).await.unwrap();
    let found: Vec<_> =
        waiting.iter().map(|request| (request.id, request.command.clone())).collect();
    assert_eq!(found, asked.iter().copied().zip(commands()).collect::<Vec<_>>());
    assert!(asked.is_sorted());
    assert_eq!(store.load(&run_id).await.unwrap().unwrap().open_requests, 3);
    let mut answer = writer.checkpoint("answer");
    answer.answered = asked[..2].to_vec();
    assert_eq!(store.append(answer).await.unwrap().open_requests, 1);
    assert_eq!(store.requests(&run_id).await.unwrap(), waiting[2..]);
    assert_eq!(store.append(writer.checkpoint("more")).await.unwrap().open_requests, 1);
}

pub(crate) async fn requests_to_a_terminal_run_are_refused(factory: &impl StoreFactory) {
    let store = factory.open();
    let mut writer = started(&*store).await;
    let run_id = writer.run.id.clone();
    let [pause, restart, _] = commands();
    store.request(&run_id, pause, START).await.unwrap();
    assert_eq!(store.append(writer.complete()).await.unwrap().open_requests, 0);
    assert_eq!(store.requests(&run_id).await.unwrap(), []);
    let refused = store.request(&run_id, restart, START).await.unwrap_err();
    assert!(matches!(refused, Error::Sealed { .. }), "{refused:?}");
}
