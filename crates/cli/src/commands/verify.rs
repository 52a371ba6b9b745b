//! `errand verify`: verification of a run against what was written.

use std::path::Path;

use errand_api::error_code::ErrorCode;
use errand_api::verification::Verification;
use errand_engine::{export, view};

use crate::context::Context;
use crate::failure::Failure;

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

/// Verifies a run. Exit code 125, with the event and its place, if something was changed.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let Some(name) = &args.run else { return all(context, args.json).await };
    let path = Path::new(name);
    let verified = if path.is_file() {
        view::verification(name, &export::verify_file(path)?)
    } else {
        let place = context.place()?;
        let run_id = match place.resolve(context, name).await {
            Err(failure) if failure.code() == ErrorCode::RunNotFound && is_like_path(name) => {
                let message = format!("there is no file {name}, and no run of that id or name");
                return Err(Failure::new(ErrorCode::RunNotFound, message));
            }
            found => found?,
        };
        Verification { source: name.clone(), ..place.verify(&run_id).await? }
    };
    if args.json {
        context.printer.json(&verified)?;
    } else if verified.unbroken {
        context.printer.line(&line(&verified))?;
    }
    match broken(&verified) {
        Some(failure) => Err(failure),
        None => Ok(0),
    }
}

/// Verifies all runs: a line for each, and the findings.
async fn all(context: &Context, json: bool) -> Result<u8, Failure> {
    let mut documents = Vec::new();
    let (mut runs, mut broken_runs) = (0_u64, 0_u64);
    let mut take = |verified: Verification| {
        runs += 1;
        broken_runs += u64::from(!verified.unbroken);
        if json {
            documents.push(verified);
            return Ok(());
        }
        if verified.unbroken {
            return context.printer.line(&line(&verified));
        }
        let name = &verified.source;
        verified
            .findings
            .iter()
            .try_for_each(|found| context.printer.line(&format!("{name}: {}", found.message)))
    };
    context.place()?.verify_all(&mut take).await?;
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

fn line(verified: &Verification) -> String {
    let sealed = if verified.sealed { "sealed" } else { "not over yet" };
    let children = match verified.children {
        0 => String::new(),
        1 => ", and so is the run that it started".to_owned(),
        several => format!(", and so are the {several} runs that it started"),
    };
    format!("{}: {} events, unbroken, {sealed}{children}", verified.source, verified.events)
}

fn broken(verified: &Verification) -> Option<Failure> {
    let first = verified.findings.first()?;
    let name = &verified.source;
    let what = format!("the journal of {name} is not what was written: {}", first.message);
    let mut failure = Failure::new(ErrorCode::JournalBroken, what);
    for further in verified.findings.iter().skip(1) {
        failure = failure.hint(format!("also: {}", further.message));
    }
    Some(match hint(verified) {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

/// Returns advice if one of the two copies is intact.
fn hint(verified: &Verification) -> Option<&'static str> {
    let [only] = verified.findings.as_slice() else { return None };
    // An event, not a blob that it names or a file beside the journal.
    let is_event = only.event.is_some() && !only.what.starts_with("blob_");
    match only.place.as_str() {
        "registry" if is_event => Some(
            "its file (runs/<run-id>.events.jsonl) has the journal whole: `errand registry rebuild` \
             makes a registry folder anew from its files; a PostgreSQL database comes from a backup",
        ),
        "file" if is_event => Some(
            "the registry has the journal whole; a process that was killed leaves the end of the \
             file out: `errand registry check --repair` adds what is missing",
        ),
        _ => None,
    }
}

/// Returns true if the name may mean a file.
fn is_like_path(name: &str) -> bool {
    name.contains(['/', '.'])
}
