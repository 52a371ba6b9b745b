//! `errand dlq show`.

use errand_agent::Clock as _;
use errand_agent::log::{Counted, Query, Reader};
use errand_api::record::{AttemptRecord, Record};
use errand_engine::{Engine, payload, record_file, wait};
use errand_model::RunId;
use errand_model::step::{Step, StepState};
use errand_store::{DeadLetter, DeadLetterFilter, Stored};
use serde_json::{Value, json};

use super::{all, document, fate};
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::{relative, spoken};

/// Lines of the log that are shown unless said otherwise.
const LOG_LINES: usize = 20;
/// Characters of a document that are shown to people.
const SHOWN_CHARS: usize = 2_000;

/// Arguments of `errand dlq show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run: its id, a unique part of it, or its name
    run: String,
    /// So many lines from the end of its log
    #[arg(short = 'n', long, value_name = "N", default_value_t = LOG_LINES)]
    tail: usize,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// All that is kept of a dead letter.
struct Kept {
    letter: DeadLetter,
    record: Record,
    input: Value,
    checkpoint: Option<Value>,
    steps: Vec<Step>,
    log: Vec<String>,
}

/// Shows a dead letter.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let engine = context.engine()?;
    let run_id = context.resolve(&engine, &args.run).await?;
    let kept = kept(&engine, &run_id, args.tail).await?;
    if args.json {
        context.printer.json(&whole(&kept))?;
    } else {
        context.printer.line(&text(&kept))?;
    }
    Ok(0)
}

async fn kept(engine: &Engine, run_id: &RunId, tail: usize) -> Result<Kept, Failure> {
    let run = Some(run_id.clone());
    let filter = DeadLetterFilter { settled: true, run_id: run, ..DeadLetterFilter::default() };
    let Some(letter) = all(engine, &filter, 1).await?.pop() else {
        return Err(errand_store::Error::NoDeadLetter { run_id: run_id.clone() }.into());
    };
    let stored: Stored = wait::load(engine, run_id).await?;
    let whole = |kept: &errand_model::Payload| payload::to_json(&engine.blobs(), kept);
    let input = stored.run.spec.input.as_ref().map(whole).transpose()?.unwrap_or_default();
    let checkpoint = stored.run.checkpoint.as_ref().map(|saved| whole(&saved.state)).transpose()?;
    let mut steps = engine.store().steps(run_id).await?;
    steps.sort_by_key(|step| step.started_at);
    let record = record_file::record(engine, &stored);
    let log = log(engine, run_id, tail)?;
    Ok(Kept { letter, record, input, checkpoint, steps, log })
}

fn log(engine: &Engine, run_id: &RunId, tail: usize) -> Result<Vec<String>, Failure> {
    let path = engine.registry().run_log(run_id);
    let unreadable = |error: std::io::Error| Failure::io("read", &path, &error);
    let query = Query { tail: Some(tail), since: None, counted: Counted::All };
    let mut reader = Reader::open(&path, query).map_err(unreadable)?;
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line().map_err(unreadable)? {
        lines.push(String::from_utf8_lossy(line.text).into_owned());
    }
    Ok(lines)
}

fn whole(kept: &Kept) -> Value {
    let Kept { letter, record, input, checkpoint, steps, log } = kept;
    let mut document = document(letter);
    let completed = |step: &&Step| matches!(step.state, StepState::Completed(_));
    let keys: Vec<&str> = steps.iter().filter(completed).map(|step| step.key.as_str()).collect();
    if let Some(members) = document.as_object_mut() {
        members.insert("input".to_owned(), input.clone());
        members.insert("checkpoint".to_owned(), json!(checkpoint));
        members.insert("attempt_history".to_owned(), json!(record.attempts));
        members.insert("completed_steps".to_owned(), json!(keys));
        members.insert("log_path".to_owned(), json!(record.log_path));
        members.insert("log_tail".to_owned(), json!(log));
    }
    document
}

fn text(kept: &Kept) -> String {
    let Kept { letter, record, input, checkpoint, steps, log } = kept;
    let now = errand_agent::SystemClock.now();
    let mut lines = vec![
        format!("run:        {}", letter.run_id),
        format!("agent:      {}@{}", record.agent.name, record.agent.version),
        format!("died:       {}", relative(letter.at, now)),
        format!("state:      {}", fate(letter, now)),
        format!("error:      {}: {}", letter.code, letter.message),
    ];
    if let Some(step) = &letter.step {
        lines.push(format!("step:       {step}"));
    }
    lines.push(format!("input:      {}", shown(input)));
    let saved = checkpoint.as_ref().map_or_else(|| "none".to_owned(), shown);
    lines.push(format!("checkpoint: {saved}"));
    lines.push(format!("attempts:   {}", record.attempts.len()));
    lines.extend(record.attempts.iter().map(|attempt| attempt_line(attempt, now)));
    let of = |is_done: bool| steps.iter().filter(move |step| done(step) == is_done);
    lines.push(format!("completed:  {} steps", of(true).count()));
    lines.extend(of(true).map(|step| format!("  {}", step.key)));
    let left: Vec<_> = of(false).map(|step| step.key.clone()).collect();
    if !left.is_empty() {
        lines.push(format!("unfinished: {}", left.join(", ")));
    }
    lines.push(format!("log:        {}", record.log_path));
    lines.extend(log.iter().map(|line| format!("  {line}")));
    lines.join("\n")
}

const fn done(step: &Step) -> bool {
    matches!(step.state, StepState::Completed(_))
}

fn attempt_line(attempt: &AttemptRecord, now: errand_model::Timestamp) -> String {
    let took = attempt.stopped_at_ms.map_or_else(String::new, |at| {
        format!(" after {}", spoken(at.since(attempt.started_at_ms)))
    });
    let began = relative(attempt.started_at_ms, now);
    let how = match &attempt.error {
        Some(error) => format!("{}: {}", error.code, error.message),
        None => attempt.status.clone(),
    };
    format!("  {}  began {began}, {}{took}: {how}", attempt.number, attempt.status)
}

/// A document in one line; a long one is cut.
fn shown(document: &Value) -> String {
    let text = document.to_string();
    if text.chars().count() <= SHOWN_CHARS {
        return text;
    }
    text.chars().take(SHOWN_CHARS).chain("… (--json shows all of it)".chars()).collect()
}
