//! Waits for a run's end, and responses with it.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use errand_api::error_code::ErrorCode;
use errand_engine::reconcile;
use errand_model::RunId;
use errand_store::Stored;
use futures_util::stream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::Gateway;
use crate::leave::Leave;
use crate::record::whole_record;
use crate::refusal::Refusal;
use crate::submit;

/// Interval at which a byte is sent during a long wait, so that proxies do not drop an idle
/// connection.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Result of a wait.
#[derive(Debug)]
pub(crate) enum RunWaitEnd {
    /// The run is over.
    Over(Box<Stored>),
    /// The time limit was reached; the run in its present state.
    Late(Box<Stored>),
}

/// Waits until a run is over, at most until `deadline`.
pub(crate) async fn until_over(
    gateway: &Gateway,
    run_id: &RunId,
    deadline: Option<Instant>,
) -> Result<RunWaitEnd, Refusal> {
    // Following starts before the first read, so that nothing is missed in between.
    let mut follower = gateway.hub().follow(run_id);
    loop {
        let stored = submit::stored(gateway, run_id).await?;
        let stored = Box::new(reconcile::reconcile(gateway.engine(), stored).await?);
        if stored.run.status.is_terminal() {
            return Ok(RunWaitEnd::Over(stored));
        }
        let late = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = follower.over() => {}
            () = late => return Ok(RunWaitEnd::Late(stored)),
            () = gateway.closing() => {
                let detail = "the server is about to end; the run goes on";
                return Err(Refusal::new(ErrorCode::ShuttingDown, detail).about(run_id));
            }
        }
    }
}

/// Responds once the run is over: 200 with its record; after `limit` 202 with the present record.
/// Without a limit the response starts early, with blank lines, and can only be 200.
pub(crate) async fn answer(
    gateway: &Gateway,
    run_id: &RunId,
    limit: Option<Duration>,
    mut leave: Option<Leave>,
) -> Result<Response, Refusal> {
    if let Some(limit) = limit {
        let deadline = Instant::now().checked_add(limit);
        let (status, stored) = match until_over(gateway, run_id, deadline).await? {
            RunWaitEnd::Over(stored) => (StatusCode::OK, stored),
            RunWaitEnd::Late(stored) => (StatusCode::ACCEPTED, stored),
        };
        let record = whole_record(gateway, &stored).await?;
        stay(&mut leave);
        return Ok((status, Json(record)).into_response());
    }
    let mut waiting: Waiting = Box::pin(over_as_json(gateway.clone(), run_id.clone()));
    match timeout(KEEP_ALIVE, &mut waiting).await {
        Ok(answer) => {
            let bytes = answer?;
            stay(&mut leave);
            Ok(json(Body::from(bytes)))
        }
        Err(_) => Ok(json(drip(waiting, leave))),
    }
}

/// Notes that the client has its response.
fn stay(leave: &mut Option<Leave>) {
    if let Some(leave) = leave {
        leave.stay();
    }
}

/// Future of the record of a run, as JSON, at its end.
type Waiting = Pin<Box<dyn Future<Output = Result<Vec<u8>, Refusal>> + Send>>;

async fn over_as_json(gateway: Gateway, run_id: RunId) -> Result<Vec<u8>, Refusal> {
    let (RunWaitEnd::Over(stored) | RunWaitEnd::Late(stored)) =
        until_over(&gateway, &run_id, None).await?;
    let record = whole_record(&gateway, &stored).await?;
    serde_json::to_vec(&record).map_err(|error| {
        tracing::error!("a record cannot be written as JSON: {error}");
        Refusal::new(ErrorCode::Internal, "the record cannot be written as JSON")
    })
}

fn json(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Body of blank lines and at last the document. On a failure the body breaks off, since the status
/// was sent already.
fn drip(waiting: Waiting, leave: Option<Leave>) -> Body {
    let state = Some((waiting, leave));
    let parts = stream::unfold(state, |state| async move {
        let (mut waiting, mut leave) = state?;
        match timeout(KEEP_ALIVE, &mut waiting).await {
            Err(_) => Some((Ok(Bytes::from_static(b"\n")), Some((waiting, leave)))),
            Ok(Ok(bytes)) => {
                stay(&mut leave);
                Some((Ok(Bytes::from(bytes)), None))
            }
            Ok(Err(refusal)) => {
                let broken = io::Error::other(refusal.code().to_owned());
                Some((Err(broken), None))
            }
        }
    });
    let first = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"\n")) });
    let first = futures_util::StreamExt::map(first, |part| part.map_err(|never| match never {}));
    Body::from_stream(futures_util::StreamExt::chain(first, parts))
}
