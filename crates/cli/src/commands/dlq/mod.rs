//! `errand dlq`: failed runs whose attempts are spent.

mod discard;
mod ls;
mod redrive;
mod show;

use errand_engine::Engine;
use errand_model::{RunId, Timestamp};
use errand_store::{DeadLetter, DeadLetterFilter, Fate, Page};
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;

/// Dead letters that are read at once.
const PAGE: u32 = 1_000;

/// What can be done with dead letters.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List failed runs whose attempts are spent, newest first
    Ls(ls::Args),
    /// Show everything that a dead letter keeps: input, checkpoint, errors, steps, log
    Show(show::Args),
    /// Do dead letters again, each as a new run that goes on where the old one stopped
    Redrive(redrive::Args),
    /// Take dead letters off the list; their runs and records are kept
    Discard(discard::Args),
}

/// Carries one out.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Ls(args) => ls::run(context, args).await,
        Command::Show(args) => show::run(context, args).await,
        Command::Redrive(args) => redrive::run(context, args).await,
        Command::Discard(args) => discard::run(context, args).await,
    }
}

/// All dead letters that fit, newest run first; at most `limit`.
async fn all(
    engine: &Engine,
    filter: &DeadLetterFilter,
    limit: usize,
) -> Result<Vec<DeadLetter>, Failure> {
    let mut found = Vec::new();
    let mut page = Page { after: None, limit: PAGE };
    loop {
        let letters = engine.store().dead_letters(filter, &page).await?;
        let is_last = letters.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        page.after = letters.last().map(|letter| letter.run_id.clone());
        found.extend(letters);
        if is_last || found.len() >= limit {
            found.truncate(limit);
            return Ok(found);
        }
    }
}

/// What `--all`, or the runs that were named, mean: oldest first for all.
async fn chosen(
    context: &Context,
    engine: &Engine,
    runs: &[String],
    agent: Option<&String>,
) -> Result<Vec<RunId>, Failure> {
    if runs.is_empty() {
        let filter = DeadLetterFilter { agent: agent.cloned(), ..DeadLetterFilter::default() };
        let letters = all(engine, &filter, usize::MAX).await?;
        return Ok(letters.into_iter().rev().map(|letter| letter.run_id).collect());
    }
    let mut ids = Vec::new();
    for run in runs {
        ids.push(context.resolve_strictly(engine, run).await?);
    }
    Ok(ids)
}

/// A dead letter as a JSON object.
fn document(letter: &DeadLetter) -> Value {
    let (state, redriven_as, settled_at, by) = match &letter.fate {
        Fate::Open => ("open", None, None, None),
        Fate::Redriven { run_id, at } => ("redriven", Some(run_id), Some(at), None),
        Fate::Discarded { at, by } => ("discarded", None, Some(at), by.as_ref()),
    };
    json!({
        "schema": 1,
        "run_id": letter.run_id,
        "name": letter.name,
        "agent": letter.agent,
        "dead_at_ms": letter.at,
        "attempts": letter.attempts,
        "error": { "code": letter.code, "message": letter.message, "step": letter.step },
        "state": state,
        "redriven_as": redriven_as,
        "settled_at_ms": settled_at,
        "discarded_by": by,
    })
}

/// What became of it, for people.
fn fate(letter: &DeadLetter, now: Timestamp) -> String {
    use crate::moment::relative;
    match &letter.fate {
        Fate::Open => "open".to_owned(),
        Fate::Redriven { run_id, at } => format!("redriven {} as {run_id}", relative(*at, now)),
        Fate::Discarded { at, by: Some(by) } => {
            format!("discarded {} by {by}", relative(*at, now))
        }
        Fate::Discarded { at, by: None } => format!("discarded {}", relative(*at, now)),
    }
}
