//! `errand replay`: describes a run's record, compares its agent with it, or runs it again.

mod inspect;
mod strict;

use std::path::{Path, PathBuf};

use errand_agent::parcel::Parcel;
use errand_engine::operations::{JournalOperations as _, RunOperations as _};
use errand_engine::{Engine, replay, view};
use errand_model::RunId;

use super::away::ServerRun;
use super::push;
use super::run::carry_on;
use super::submit;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::remote::Remote;
use crate::user::user;

/// Policy of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Policy {
    /// Tell what a replay would serve; nothing runs
    #[default]
    Inspect,
    /// Run the agent with everything served from the record; the first difference fails
    Strict,
    /// Do it all again as a new run, with all its effects
    Live,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand replay 01m2c8                                       what it did, and what a replay would serve
  errand replay 01m2c8 --policy strict                       is it still the same, byte for byte?
  errand replay 01m2c8 --policy strict --agent my-agent      does my changed agent still do the same?
  errand replay 01m2c8 --policy live                         do it again, for real

A strict replay never executes the command of a step. It exits with 0 if nothing differs, and with 1
at the first difference, which it shows with both sides.")]
#[expect(clippy::struct_excessive_bools, reason = "flags that are typed")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Policy of the replay
    #[arg(long, value_enum, default_value_t)]
    policy: Policy,
    /// Another agent than the recorded one: its folder, or its agent file
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
    /// With live: although the run had effects outside, which would happen once more
    #[arg(long)]
    allow_effects: bool,
    /// With live: return at once and leave it running; prints the new run's id
    #[arg(short, long)]
    detach: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Replays a run.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    check(&args)?;
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    match &place {
        RegistryOrServer::Here(engine) => here(context, engine, &run_id, &args).await,
        RegistryOrServer::There(remote) => there(context, remote, &run_id, &args).await,
    }
}

async fn here(
    context: &Context,
    engine: &Engine,
    run_id: &RunId,
    args: &Args,
) -> Result<u8, Failure> {
    match args.policy {
        Policy::Inspect => {
            let story = view::story(replay::inspect(engine, run_id).await?);
            inspect::show(context, &story, args.json)
        }
        Policy::Strict => {
            let agent = agent(engine, args.agent.as_deref())?;
            let submission = replay::strict(engine, run_id, agent).await?;
            strict::run(context, engine, submission, args.json).await
        }
        Policy::Live => {
            let by = args.allow_effects.then(|| user(context));
            let agent = agent(engine, args.agent.as_deref())?;
            let mut submission = replay::live(engine, run_id, by, agent).await?;
            submission.options.detached = args.detach;
            carry_on(context, engine, submission, args.json).await
        }
    }
}

async fn there(
    context: &Context,
    remote: &Remote,
    run_id: &RunId,
    args: &Args,
) -> Result<u8, Failure> {
    let agent = match &args.agent {
        Some(path) => Some(push::push(remote, path).await?.reference()),
        None => None,
    };
    match args.policy {
        Policy::Inspect => inspect::show(context, &remote.story(run_id).await?, args.json),
        Policy::Strict => {
            let record = remote.replay_strictly(run_id, agent).await?;
            remote.wait(&record.run_id, None).await?;
            strict::show(context, &remote.comparison(&record.run_id).await?, args.json)
        }
        Policy::Live => {
            let record = remote.replay_live(run_id, agent, args.allow_effects).await?;
            ServerRun { context, remote, detached: args.detach, json: args.json }
                .carry_on(record)
                .await
        }
    }
}

fn check(args: &Args) -> Result<(), Failure> {
    use errand_api::error_code::ErrorCode;
    let only = |flag: &str, with: &str| {
        Err(Failure::new(ErrorCode::Usage, format!("{flag} goes with {with} only")))
    };
    let is_live = args.policy == Policy::Live;
    if args.agent.is_some() && args.policy == Policy::Inspect {
        return only("--agent", "--policy strict or live");
    }
    if args.allow_effects && !is_live {
        return only("--allow-effects", "--policy live");
    }
    if args.detach && !is_live {
        return only("--detach", "--policy live");
    }
    Ok(())
}

/// Packs the agent that replaces the recorded one.
fn agent(engine: &Engine, path: Option<&Path>) -> Result<Option<(Parcel, String)>, Failure> {
    let Some(path) = path else { return Ok(None) };
    submit::read_agent(path)?.publish(engine).map(Some)
}
