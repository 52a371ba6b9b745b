//! Waiting for a run's end, and answering with it.

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

/// After so long without an end, and then every so often, a byte is sent: whoever is in between
/// takes a silent connection for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What a wait ended with.
#[derive(Debug)]
pub(crate) enum Waited {
    /// The run is over.
    Over(Box<Stored>),
    /// Time is up; the run as it is.
    Late(Box<Stored>),
}

/// Waits until a run is over, at most until `deadline`.
pub(crate) async fn until_over(
    gateway: &Gateway,
    run_id: &RunId,
    deadline: Option<Instant>,
) -> Result<Waited, Refusal> {
    // Following starts before looking: what happens in between is not missed.
    let mut follower = gateway.hub().follow(run_id);
    loop {
        let stored = submit::stored(gateway, run_id).await?;
        let stored = Box::new(reconcile::reconcile(gateway.engine(), stored).await?);
        if stored.run.status.is_terminal() {
            return Ok(Waited::Over(stored));
        }
        let late = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = follower.over() => {}
            () = late => return Ok(Waited::Late(stored)),
            () = gateway.closing() => {
                let detail = "the server is about to end; the run goes on";
                return Err(Refusal::new(ErrorCode::ShuttingDown, detail).about(run_id));
            }
        }
    }
}

/// Answers once the run is over: 200 with its record; after `limit` 202 with the record as it is
/// then. Without a limit the answer begins early, with blanks, and cannot be anything but 200.
pub(crate) async fn answer(
    gateway: &Gateway,
    run_id: &RunId,
    limit: Option<Duration>,
    mut leave: Option<Leave>,
) -> Result<Response, Refusal> {
    if let Some(limit) = limit {
        let deadline = Instant::now().checked_add(limit);
        let (status, stored) = match until_over(gateway, run_id, deadline).await? {
            Waited::Over(stored) => (StatusCode::OK, stored),
            Waited::Late(stored) => (StatusCode::ACCEPTED, stored),
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

/// The client has its answer.
fn stay(leave: &mut Option<Leave>) {
    if let Some(leave) = leave {
        leave.stay();
    }
}

/// The record of a run, once it is over.
type Waiting = Pin<Box<dyn Future<Output = Result<Vec<u8>, Refusal>> + Send>>;

async fn over_as_json(gateway: Gateway, run_id: RunId) -> Result<Vec<u8>, Refusal> {
    let (Waited::Over(stored) | Waited::Late(stored)) = until_over(&gateway, &run_id, None).await?;
    let record = whole_record(&gateway, &stored).await?;
    serde_json::to_vec(&record).map_err(|error| {
        tracing::error!("a record cannot be written as JSON: {error}");
        Refusal::new(ErrorCode::Internal, "the record cannot be written as JSON")
    })
}

fn json(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Blanks, and at last the document. If there is none, the body breaks off: an answer that has begun
/// cannot say anything else.
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
