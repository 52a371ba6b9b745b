//! `/v1/dead-letters`: failed runs without attempts left.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use errand_api::dead_letter::{DeadLetterDetail, Redriven};
use errand_api::gateway::dead_letter::{
    DeadLetterPage, DeadLetterQuery, DiscardLetter, DiscardLetters, DiscardedLetters,
    RedriveLetter, RedriveLetters, RedrivenLetters, RefusedLetter, TailQuery,
};
use errand_engine::again::{self, AgentChoice, Redrive};
use errand_engine::operations::DeadLetterOperations as _;
use errand_engine::submission::{CheckedSubmission, Submission};
use errand_engine::submit;
use errand_engine::view;
use errand_model::{RunId, Timestamp};
use errand_store::Admitted;
use errand_store::{DeadLetterFilter, Namespaces};

use super::by::by;
use super::list_runs::page_limit;
use crate::Gateway;
use crate::again::choice;
use crate::auth::Caller;
use crate::extract::{JsonBody, OneRun, Query};
use crate::refusal::Refusal;

/// Default number of dead letters on a page.
const LIMIT: u32 = 50;
/// Largest number of dead letters on a page.
const LARGEST_LIMIT: u32 = 500;
/// Default number of dead letters that are settled at once.
const BULK: u32 = 100;
/// Largest number of dead letters that are settled at once.
const LARGEST_BULK: u32 = 1_000;
/// Default number of log lines.
const LOG_LINES: u32 = 20;

/// Lists a page of dead letters.
pub(crate) async fn list_dead_letters(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(query): Query<DeadLetterQuery>,
) -> Result<Json<DeadLetterPage>, Refusal> {
    let limit = page_limit(query.limit, LIMIT, LARGEST_LIMIT)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let after = query.cursor.as_deref().map(cursor).transpose()?;
    let filter = DeadLetterFilter {
        settled: query.all.unwrap_or_default(),
        since: query.since_ms.map(Timestamp::from_millis),
        ..filter(&caller, query.agent, query.code)
    };
    Ok(Json(gateway.operations(&caller).list_dead_letters(&filter, after, limit).await?))
}

fn cursor(text: &str) -> Result<RunId, Refusal> {
    text.parse().map_err(|_| Refusal::parameter("cursor", format!("{text:?} is no cursor")))
}

fn filter(caller: &Caller, agent: Option<String>, code: Option<String>) -> DeadLetterFilter {
    let namespaces = Namespaces::One(caller.namespace.clone());
    DeadLetterFilter { namespaces, agent, code, ..DeadLetterFilter::default() }
}

/// Returns all facts about a dead letter.
pub(crate) async fn get_dead_letter(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
    Query(query): Query<TailQuery>,
) -> Result<Json<DeadLetterDetail>, Refusal> {
    let tail = usize::try_from(query.tail.unwrap_or(LOG_LINES).min(10_000)).unwrap_or(0);
    Ok(Json(gateway.operations(&caller).dead_letter(&stored.run.id, tail).await?))
}

/// Redrives a dead letter.
pub(crate) async fn redrive_dead_letter(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
    JsonBody(body): JsonBody<RedriveLetter>,
) -> Result<(StatusCode, Json<Redriven>), Refusal> {
    let how = Redrive { from_start: body.from_start, again: body.again };
    let choice = choice(body.version, body.latest)?;
    let redriven = redrive(&gateway, &caller, &stored.run.id, (how, choice)).await?;
    Ok((StatusCode::ACCEPTED, Json(redriven)))
}

async fn redrive(
    gateway: &Gateway,
    caller: &Caller,
    run_id: &RunId,
    (how, choice): (Redrive, AgentChoice),
) -> Result<Redriven, Refusal> {
    let submission = again::redrive(gateway.engine(), run_id, how).await?;
    let mut submission = again::chosen(gateway.engine(), submission, choice).await?;
    submission.options.by = Some(caller.name());
    let redriven_as = queue(gateway, submission).await?;
    Ok(Redriven { run_id: run_id.clone(), redriven_as })
}

/// Admits a run that repeats another one, for any worker to claim.
async fn queue(gateway: &Gateway, mut submission: Submission) -> Result<RunId, Refusal> {
    submission.options.placement.get_or_insert_default();
    let submission = CheckedSubmission::for_here(gateway.engine(), submission)?;
    let (run_id, admitted) = Box::pin(submit::admit(gateway.engine(), submission)).await?;
    Ok(match admitted {
        Admitted::Created => run_id,
        Admitted::Existing(existing) => existing,
    })
}

/// Discards a dead letter.
pub(crate) async fn discard_dead_letter(
    State(gateway): State<Gateway>,
    caller: Caller,
    OneRun(stored): OneRun,
    JsonBody(body): JsonBody<DiscardLetter>,
) -> Result<StatusCode, Refusal> {
    let who = by(&caller, body.by.as_deref());
    gateway.operations(&caller).discard(&stored.run.id, who).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists open dead letters, oldest first.
async fn chosen(
    gateway: &Gateway,
    filter: DeadLetterFilter,
    limit: Option<u32>,
) -> Result<Vec<RunId>, Refusal> {
    let limit = limit.unwrap_or(BULK);
    if limit == 0 || limit > LARGEST_BULK {
        let detail = format!("limit is {limit}, and has to be from 1 to {LARGEST_BULK}");
        return Err(Refusal::parameter("limit", detail));
    }
    let found = view::dead_letters(gateway.engine(), &filter, None, usize::MAX).await?;
    let oldest = found.into_iter().rev().map(|letter| letter.run_id);
    Ok(oldest.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
}

/// Redrives many dead letters. A refused one does not stop the others.
pub(crate) async fn redrive_dead_letters(
    State(gateway): State<Gateway>,
    caller: Caller,
    JsonBody(body): JsonBody<RedriveLetters>,
) -> Result<(StatusCode, Json<RedrivenLetters>), Refusal> {
    let how = Redrive { from_start: body.from_start, again: false };
    let mut done = RedrivenLetters { redriven: Vec::new(), refused: Vec::new() };
    let filter = filter(&caller, body.agent, body.code);
    for run_id in chosen(&gateway, filter, body.limit).await? {
        match redrive(&gateway, &caller, &run_id, (how, AgentChoice::Recorded)).await {
            Ok(redriven) => done.redriven.push(redriven),
            Err(refusal) => done.refused.push(refused(&run_id, &refusal)),
        }
    }
    Ok((StatusCode::ACCEPTED, Json(done)))
}

/// Discards many dead letters.
pub(crate) async fn discard_dead_letters(
    State(gateway): State<Gateway>,
    caller: Caller,
    JsonBody(body): JsonBody<DiscardLetters>,
) -> Result<Json<DiscardedLetters>, Refusal> {
    let who = by(&caller, body.by.as_deref());
    let operations = gateway.operations(&caller);
    let mut done = DiscardedLetters { discarded: Vec::new(), refused: Vec::new() };
    let filter = filter(&caller, body.agent, body.code);
    for run_id in chosen(&gateway, filter, body.limit).await? {
        match operations.discard(&run_id, who.clone()).await {
            Ok(()) => done.discarded.push(run_id.to_string()),
            Err(refusal) => done.refused.push(refused(&run_id, &refusal)),
        }
    }
    Ok(Json(done))
}

fn refused(run_id: &RunId, refusal: &Refusal) -> RefusedLetter {
    RefusedLetter {
        run_id: run_id.to_string(),
        code: refusal.code().to_owned(),
        detail: refusal.detail().to_owned(),
    }
}
