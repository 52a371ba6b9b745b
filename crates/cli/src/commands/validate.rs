//! `errand validate`: all problems of an agent file, and of those that it names by path.

use std::collections::BTreeMap;
use std::path::PathBuf;

use errand_agent::parcel;
use errand_api::agent_file::{ProblemKind, Problems, Unknown};
use errand_api::error_code::ErrorCode;
use errand_engine::agents;

use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;

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
    // Registered agents are looked up once the files say which are named.
    let mut named = BTreeMap::new();
    let mut note = |agent: &str| {
        named.insert(agent.to_owned(), true);
        Ok(())
    };
    let mut checked = parcel::check(&args.path, &mut note)?;
    if !named.is_empty() {
        look_up(context, &mut named).await?;
        checked = parcel::check(&args.path, &mut |agent| known(&named, agent))?;
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

/// Finds out which of the named agents are registered, if there is a registry.
async fn look_up(context: &Context, named: &mut BTreeMap<String, bool>) -> Result<(), Failure> {
    let Some(place) = context.place_if_any()? else { return Ok(()) };
    for (reference, is_known) in named {
        let found: Result<(), Failure> = match &place {
            RegistryOrServer::There(remote) => remote.agent(reference).await.map(drop),
            RegistryOrServer::Here(engine) => {
                let (name, version) = agents::split_reference(reference);
                let found = agents::find(engine, None, name, version).await;
                found.map(drop).map_err(|error| errand_engine::Error::from(error).into())
            }
        };
        match found {
            Ok(()) => {}
            Err(failure) if failure.code() == ErrorCode::AgentNotFound => *is_known = false,
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

fn known(named: &BTreeMap<String, bool>, agent: &str) -> Result<(), Unknown> {
    if named.get(agent).copied().unwrap_or(true) {
        return Ok(());
    }
    Err(Unknown {
        message: format!("no agent {agent} is registered"),
        hint: Some("register it with `errand push`, or name its folder by path".to_owned()),
        kind: ProblemKind::Invalid,
    })
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
