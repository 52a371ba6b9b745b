//! `errand validate`: all problems of an agent file, and of those that it names by path.

use std::path::PathBuf;

use errand_agent::parcel;
use errand_api::agent_file::{Agent, Problems};
use errand_engine::policy::ExternalPolicies;

use super::named_elsewhere;
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The agent: its folder, or its agent file
    path: PathBuf,
    /// Print the problems as JSON
    #[arg(long)]
    json: bool,
}

/// Checks an agent file.
pub(crate) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let located = parcel::locate(&args.path)?;
    let shown = located.agent_file.display().to_string();
    let checked = named_elsewhere::check(context, &args.path).await?;
    if let Ok(agent) = &checked {
        note_policy_program(context, agent);
    }
    if args.json {
        return json(context, &shown, &checked.err().unwrap_or_default());
    }
    match checked {
        Ok(agent) => {
            context.printer.line(&format!("{shown}: {}@{} is valid", agent.name, agent.version))?;
            Ok(0)
        }
        Err(problems) => Err(Failure::of_files(&problems)),
    }
}

/// Notes that the program of the agent's external policy is not on this machine: a run is refused
/// here, while the file may be right for another machine.
fn note_policy_program(context: &Context, agent: &Agent) {
    let Some(rules) = &agent.policy else { return };
    let external = ExternalPolicies::unlimited(&context.surroundings());
    if let Err(invalid) = external.check_program("agent-file", rules) {
        let reason = invalid.reason;
        context.printer.note(&format!("spec.policy: {reason}: `errand run` is refused here"));
    }
}

/// Prints the problems of all files as JSON. A problem of another file than the agent's own names
/// that file.
fn json(context: &Context, shown: &str, files: &[Problems]) -> Result<u8, Failure> {
    let all = files.iter().flat_map(|file| file.problems.iter().map(move |it| (file, it)));
    let problems: Vec<_> = all
        .map(|(file, problem)| {
            let mut shown_problem = serde_json::json!({
                "path": problem.path, "line": problem.line, "column": problem.column,
                "message": problem.message, "hint": problem.hint, "code": problem.kind.code().as_str(),
            });
            if file.source_name != shown {
                shown_problem["source"] = file.source_name.as_str().into();
            }
            shown_problem
        })
        .collect();
    let is_valid = problems.is_empty();
    context.printer.json(&serde_json::json!({
        "schema": 1, "source": shown, "valid": is_valid, "problems": problems,
        "omitted": files.iter().map(|file| file.omitted).sum::<usize>(),
    }))?;
    Ok(if is_valid { 0 } else { errand_api::exit_code::USAGE })
}
