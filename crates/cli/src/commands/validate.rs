//! `errand validate`: every problem of an agent file at once.

use std::path::PathBuf;

use errand_agent::parcel;
use errand_api::agent_file;

use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand validate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The agent: its folder, or its agent file
    path: PathBuf,
    /// Print the problems as JSON
    #[arg(long)]
    json: bool,
}

/// Checks an agent file.
pub(crate) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let located = parcel::locate(&args.path)?;
    let shown = located.agent_file.display().to_string();
    let checked = agent_file::parse_bytes(&shown, &located.read()?);
    if args.json {
        let problems: Vec<_> = match &checked {
            Ok(_) => Vec::new(),
            Err(problems) => problems
                .problems
                .iter()
                .map(|problem| {
                    serde_json::json!({
                        "path": problem.path, "line": problem.line, "column": problem.column,
                        "message": problem.message, "hint": problem.hint,
                    })
                })
                .collect(),
        };
        let is_valid = problems.is_empty();
        context.printer.json(&serde_json::json!({
            "schema": 1, "source": shown, "valid": is_valid, "problems": problems,
            "omitted": checked.as_ref().map_or_else(|problems| problems.omitted, |_| 0),
        }))?;
        return Ok(if is_valid { 0 } else { errand_api::exit_code::USAGE });
    }
    let agent = checked?;
    context.printer.line(&format!("{shown}: {}@{} is valid", agent.name, agent.version))?;
    Ok(0)
}
