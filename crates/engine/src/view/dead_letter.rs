//! Dead letters of a server: failed runs whose attempts are spent.

use errand_agent::log::{Counted, LogReader, Query};
use errand_api::dead_letter::{DEAD_LETTER_SCHEMA, DeadLetter, DeadLetterDetail};
use errand_api::record::RecordError;
use errand_model::step::{Step, StepState};
use errand_model::{Payload, RunId};
use errand_store::{DeadLetterFate, DeadLetterFilter, Page};

use crate::error::IoFailure;
use crate::{Engine, Error, payload, record_file, wait};

/// Dead letters read at once.
const PAGE: u32 = 1_000;

/// Returns the document of a dead letter.
pub fn dead_letter(letter: errand_store::StoredDeadLetter) -> DeadLetter {
    let (state, redriven_as, settled_at_ms, discarded_by) = match letter.fate {
        DeadLetterFate::Open => ("open", None, None, None),
        DeadLetterFate::Redriven { run_id, at } => ("redriven", Some(run_id), Some(at), None),
        DeadLetterFate::Discarded { at, by } => ("discarded", None, Some(at), by),
    };
    DeadLetter {
        schema: DEAD_LETTER_SCHEMA,
        run_id: letter.run_id,
        name: letter.name,
        agent: letter.agent,
        dead_at_ms: letter.at,
        attempts: letter.attempts,
        error: RecordError {
            code: letter.code,
            message: letter.message,
            step: letter.step,
            stderr_tail: None,
        },
        state: state.to_owned(),
        redriven_as,
        settled_at_ms,
        discarded_by,
    }
}

/// Returns dead letters that match, newest run first: those after run `after`, at most `limit`.
///
/// # Errors
///
/// If the registry fails.
pub async fn dead_letters(
    engine: &Engine,
    filter: &DeadLetterFilter,
    after: Option<RunId>,
    limit: usize,
) -> Result<Vec<DeadLetter>, Error> {
    let mut found = Vec::new();
    let mut page = Page { after, limit: u32::try_from(limit).unwrap_or(PAGE).min(PAGE) };
    loop {
        let letters = engine.store().dead_letters(filter, &page).await?;
        let is_last = letters.len() < usize::try_from(page.limit).unwrap_or(usize::MAX);
        page.after = letters.last().map(|letter| letter.run_id.clone());
        found.extend(letters.into_iter().map(dead_letter));
        if is_last || found.len() >= limit {
            found.truncate(limit);
            return Ok(found);
        }
    }
}

/// Returns everything that is kept of a dead letter, with `tail` lines of its log.
///
/// # Errors
///
/// [`errand_store::Error::NoDeadLetter`]; if the registry fails.
pub async fn dead_letter_detail(
    engine: &Engine,
    run_id: &RunId,
    tail: usize,
) -> Result<DeadLetterDetail, Error> {
    let run = Some(run_id.clone());
    let filter = DeadLetterFilter { settled: true, run_id: run, ..DeadLetterFilter::default() };
    let Some(mut letter) = dead_letters(engine, &filter, None, 1).await?.pop() else {
        return Err(errand_store::Error::NoDeadLetter { run_id: run_id.clone() }.into());
    };
    let stored = wait::load(engine, run_id).await?;
    let whole = |kept: &Payload| payload::to_json(&engine.blobs(), kept);
    let input = stored.run.spec.input.as_ref().map(whole).transpose()?.unwrap_or_default();
    let checkpoint = stored.run.checkpoint.as_ref().map(|saved| whole(&saved.state)).transpose()?;
    let mut steps = engine.store().steps(run_id).await?;
    steps.sort_by_key(|step| step.started_at);
    let is_done = |step: &Step| matches!(step.state, StepState::Completed(_));
    let (done, left): (Vec<_>, Vec<_>) = steps.into_iter().partition(is_done);
    let keys = |steps: Vec<Step>| steps.into_iter().map(|step| step.key).collect();
    let record = record_file::record(engine, &stored);
    letter.error.stderr_tail = record.last_error.and_then(|error| error.stderr_tail);
    Ok(DeadLetterDetail {
        letter,
        agent_version: record.agent.version,
        input,
        checkpoint,
        attempt_history: record.attempts,
        completed_steps: keys(done),
        unfinished_steps: keys(left),
        log_path: record.log_path,
        log_tail: log_tail(engine, run_id, tail)?,
    })
}

fn log_tail(engine: &Engine, run_id: &RunId, tail: usize) -> Result<Vec<String>, Error> {
    let path = engine.registry().run_log(run_id);
    let unreadable = IoFailure::of("read", path.clone());
    let query = Query { tail: Some(tail), since: None, counted: Counted::All };
    let lines = || {
        let mut reader = LogReader::open(&path, query)?;
        let mut lines = Vec::new();
        while let Some(line) = reader.next_line()? {
            lines.push(String::from_utf8_lossy(line.text).into_owned());
        }
        Ok(lines)
    };
    Ok(lines().map_err(unreadable)?)
}
