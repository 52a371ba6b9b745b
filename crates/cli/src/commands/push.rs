//! `errand push`: registers the agent of a folder with a server.

use std::path::{Path, PathBuf};

use errand_agent::parcel;
use errand_api::error_code::ErrorCode;

use super::packed::Packed;
use crate::context::Context;
use crate::failure::Failure;
use crate::remote::{Agent, Remote};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand --server https://errand.example.org push agents/review
  errand --server https://errand.example.org run review --job @task.json")]
pub(crate) struct Args {
    /// The agent: its folder, or its agent file
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Replace another content that is registered under the same version
    #[arg(short, long)]
    force: bool,
    /// Print what was registered as JSON
    #[arg(long)]
    json: bool,
}

/// Packs, sends and registers an agent; prints its name and version.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let remote = server(context)?;
    let agent = send(context, &remote, &args.path, args.force).await?;
    if args.json {
        context.printer.json(&agent)?;
    } else {
        context.printer.line(&agent.reference())?;
    }
    Ok(0)
}

/// Registers the agent at `path`, so that the server can run it.
pub(super) async fn push(remote: &Remote, path: &Path) -> Result<Agent, Failure> {
    let plan = parcel::plan(path)?;
    let agent = plan.agent();
    // An agent that is registered already need not be sent, which not every key permits.
    if let Ok(known) = remote.version(&agent.name, &agent.version).await
        && known.digest == plan.digest().to_string()
    {
        return Ok(known);
    }
    remote.push(&plan, false).await.map_err(|failure| {
        if failure.code() == ErrorCode::AgentConflict {
            return failure.hint("`errand push --force` replaces it");
        }
        failure
    })
}

async fn send(
    context: &Context,
    remote: &Remote,
    path: &Path,
    force: bool,
) -> Result<Agent, Failure> {
    let plan = parcel::plan(path)?;
    context.printer.note(&Packed::of(&plan).told());
    remote.push(&plan, force).await
}

/// Returns the selected server, for commands that need one.
pub(super) fn server(context: &Context) -> Result<Remote, Failure> {
    context.remote()?.ok_or_else(|| {
        Failure::new(ErrorCode::Usage, "this needs a server")
            .hint("name one with --server URL, ERRAND_SERVER or `errand context use`; `errand up` starts one")
    })
}
