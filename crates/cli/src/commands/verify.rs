//! `errand verify`: is a run what was written?

use std::path::Path;

use errand_api::error_code::ErrorCode;
use errand_engine::evidence::{self, Finding, Place, Problem, Verified};
use errand_engine::export;
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand verify review           the run's journal in the registry and in its file
  errand verify --all            every run of the registry
  errand verify review.tar       a file that `errand export` wrote")]
pub(crate) struct Args {
    /// A run, a file that `errand export` wrote, or a journal file (.events.jsonl)
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    run: Option<String>,
    /// Every run of the registry
    #[arg(long)]
    all: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Verifies. Exit code 125 with the event and the place if something is not what was written.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let Some(name) = &args.run else { return all(context, args.json).await };
    let path = Path::new(name);
    let verified = if path.is_file() {
        export::verify_file(path)?
    } else {
        let engine = context.engine()?;
        let run_id = context.resolve(&engine, name).await?;
        evidence::verify_run(&engine, &run_id).await?
    };
    if args.json {
        context.printer.json(&document(name, &verified))?;
    } else if verified.findings.is_empty() {
        context.printer.line(&line(name, &verified))?;
    }
    match broken(name, &verified) {
        Some(failure) => Err(failure),
        None => Ok(0),
    }
}

/// Verifies all runs: one line each, and what is wrong.
async fn all(context: &Context, json: bool) -> Result<u8, Failure> {
    let engine = context.engine()?;
    let mut documents = Vec::new();
    let (mut runs, mut broken_runs) = (0_u64, 0_u64);
    evidence::verify_all(&engine, |verified| {
        runs += 1;
        broken_runs += u64::from(!verified.findings.is_empty());
        let name = verified.run_id.as_str();
        if json {
            documents.push(document(name, &verified));
            return Ok(());
        }
        if verified.findings.is_empty() {
            return context.printer.line(&line(name, &verified));
        }
        verified
            .findings
            .iter()
            .try_for_each(|finding| context.printer.line(&format!("{name}: {finding}")))
    })
    .await?;
    if json {
        context.printer.json(&documents)?;
    }
    if broken_runs == 0 {
        context.printer.note(&format!("{runs} runs, all of them are what was written"));
        return Ok(0);
    }
    let what = format!("{broken_runs} of {runs} runs are not what was written");
    Err(Failure::new(ErrorCode::JournalBroken, what))
}

fn line(name: &str, verified: &Verified) -> String {
    let sealed = if verified.is_sealed { "sealed" } else { "not over yet" };
    format!("{name}: {} events, unbroken, {sealed}", verified.events)
}

fn document(source: &str, verified: &Verified) -> Value {
    json!({
        "schema": 1,
        "source": source,
        "run_id": verified.run_id,
        "events": verified.events,
        "sealed": verified.is_sealed,
        "hash": verified.hash,
        "unbroken": verified.findings.is_empty(),
        "findings": verified.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn finding(finding: &Finding) -> Value {
    let path = match &finding.place {
        Place::Registry => None,
        Place::File(path) => Some(path.display().to_string()),
        Place::Export(entry) => Some(entry.clone()),
    };
    json!({
        "place": finding.place.name(),
        "path": path,
        "event": finding.problem.seq(),
        "what": finding.problem.name(),
        "message": finding.to_string(),
    })
}

fn broken(name: &str, verified: &Verified) -> Option<Failure> {
    let first = verified.findings.first()?;
    let what = format!("the journal of {name} is not what was written: {first}");
    let mut failure = Failure::new(ErrorCode::JournalBroken, what);
    for further in verified.findings.iter().skip(1) {
        failure = failure.hint(format!("also: {further}"));
    }
    Some(match hint(verified) {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

/// What can be done where one of the two copies is whole.
fn hint(verified: &Verified) -> Option<&'static str> {
    let [only] = verified.findings.as_slice() else { return None };
    match (&only.place, &only.problem) {
        (Place::Registry, Problem::Event(_)) => Some(
            "its file (runs/<run-id>.events.jsonl) has the journal whole; `errand registry rebuild` \
             makes the registry anew from the files",
        ),
        (Place::File(_), Problem::Event(_)) => Some(
            "the registry has the journal whole; a process that was killed leaves the end of the \
             file out: `errand registry check --repair` adds what is missing",
        ),
        (Place::Registry | Place::File(_) | Place::Export(_), _) => None,
    }
}
