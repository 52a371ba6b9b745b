//! `errand dlq redrive`: repeats dead letters in new runs.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use errand_api::dead_letter::Redriven;
use errand_engine::again::{self, Redrive};
use errand_engine::{CodedError as _, Engine, wait};
use errand_model::RunId;
use futures_util::future::select_all;

use super::chosen;
use crate::commands::agent_choice::AgentFlags;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::user::user;

/// Fewest concurrent runs by default, even on a machine with one core.
const FEWEST_AT_ONCE: usize = 4;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The new run has the same agent as the dead letter, byte for byte, unless another one is named: to mend
a fault in the agent, name it with --version, --latest or --with-agent. Completed steps are kept; one is
done again only if that agent gives its key to another command.")]
#[expect(clippy::struct_excessive_bools, reason = "flags that are typed")]
pub(crate) struct Args {
    /// The runs
    #[arg(required_unless_present = "all")]
    runs: Vec<String>,
    /// All that were neither redriven nor discarded, oldest first
    #[arg(long, conflicts_with = "runs")]
    all: bool,
    /// With --all: only runs of that agent
    #[arg(long, value_name = "NAME", requires = "all")]
    agent: Option<String>,
    /// Go on with the completed steps and the last checkpoint; this is the default
    #[arg(long)]
    from_checkpoint: bool,
    /// Begin from the start, as if nothing had been done
    #[arg(long, conflicts_with = "from_checkpoint")]
    from_start: bool,
    /// Even if it was redriven or discarded already
    #[arg(long)]
    again: bool,
    /// With that registered version of the agent; by default with the very parcel of the run
    #[arg(long, value_name = "VERSION", group = "with")]
    version: Option<String>,
    /// With the registered version that is current now
    #[arg(long, group = "with")]
    latest: bool,
    /// With the agent in that folder, or of that agent file
    #[arg(long, value_name = "PATH", group = "with")]
    with_agent: Option<PathBuf>,
    /// On this machine: how many of them are under way at once, the others begin as those end; one
    /// for each core unless said, at least 4
    #[arg(long, value_name = "N")]
    at_once: Option<NonZeroUsize>,
    /// Print what was redriven as a JSON array
    #[arg(long)]
    json: bool,
}

/// Redrives dead letters and prints the ids of their new runs. A failure does not stop the others.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let with = AgentFlags { version: args.version, latest: args.latest, path: args.with_agent };
    let how = Redrive { from_start: args.from_start, again: args.again };
    let mut redriven = Vec::new();
    let mut code = 0;
    let letters = chosen(&place, &args.runs, args.agent.as_ref()).await?;
    let mut pace = Pace::new(args.at_once);
    if let RegistryOrServer::Here(_) = place
        && letters.len() > pace.most
    {
        let (count, most) = (letters.len(), pace.most);
        let note = format!("{count} dead letters: {most} at once, the others as those end");
        context.printer.note(&note);
    }
    for run_id in letters {
        if let RegistryOrServer::Here(engine) = &place {
            pace.wait(engine).await?;
        }
        match redrive(context, &place, &run_id, (how, &with)).await {
            Ok(redriven_as) => {
                pace.under_way.push(redriven_as.clone());
                if args.json {
                    redriven.push(Redriven { run_id, redriven_as });
                } else {
                    context.printer.line(redriven_as.as_str())?;
                }
            }
            Err(failure) => {
                context.printer.failure(&failure);
                code = failure.exit_code();
            }
        }
    }
    if args.json {
        context.printer.json(&redriven)?;
    }
    Ok(code)
}

/// Limit on concurrent runs if each has a process of its own. A server has a queue.
struct Pace {
    most: usize,
    under_way: Vec<RunId>,
}

impl Pace {
    fn new(most: Option<NonZeroUsize>) -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let most = most.map_or_else(|| cores().max(FEWEST_AT_ONCE), NonZeroUsize::get);
        Self { most, under_way: Vec::new() }
    }

    /// Waits until another run may start. A run that waits for a person without a process does not
    /// count.
    async fn wait(&mut self, engine: &Engine) -> Result<(), Failure> {
        while self.under_way.len() >= self.most {
            let ends = self.under_way.iter().map(|run_id| {
                wait::until(engine, run_id, None, |stored| {
                    stored.run.status.is_terminal() || stored.run.is_at_rest()
                })
            });
            let (ended, place, _) = select_all(ends).await;
            match ended {
                Ok(_) => {}
                Err(error) if matches!(error.store(), Some(errand_store::Error::NoRun { .. })) => {}
                Err(error) => return Err(error.into()),
            }
            self.under_way.swap_remove(place);
        }
        Ok(())
    }
}

async fn redrive(
    context: &Context,
    place: &RegistryOrServer,
    run_id: &RunId,
    (how, with): (Redrive, &AgentFlags),
) -> Result<RunId, Failure> {
    match place {
        RegistryOrServer::Here(engine) => {
            let submission = again::redrive(engine, run_id, how).await?;
            let mut submission = again::chosen(engine, submission, with.here(engine)?).await?;
            submission.options.by = Some(user(context));
            Ok(again::start(engine, submission).await?)
        }
        RegistryOrServer::There(remote) => {
            remote.redrive(run_id, how, with.there(remote, run_id).await?).await
        }
    }
}
