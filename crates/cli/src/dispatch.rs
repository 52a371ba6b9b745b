//! Execution of commands; refuses those that cannot go to the selected server.

use clap::CommandFactory as _;
use errand_api::error_code::ErrorCode;
use errand_model::event::ApprovalVerdict;

use crate::args::{Cli, Command};
use crate::commands::{
    agent, agents, approvals, artifacts, audit, bom, build, callbacks, completions, config,
    container, context, decide, dlq, events, explain, export, fork, graph, hooks, import, input,
    inspect_run, internal, keys, logs, man, messages, migrate, output, pause, prices, prune, ps,
    push, registry, replay, restart, resume, retry, rm, run, schedules, schema, secret, serve,
    sessions, stop, systemd, trace, up, usage, validate, verify, wait, wake, worker, workers,
};
use crate::context::Context;
use crate::failure::Failure;

/// Executes a command. Returns the exit code.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    refuse_afar(context, &command)?;
    if reads_registry(&command) && context.server()?.is_none() {
        context.check_owner()?;
    }
    match command {
        Command::Run(args) => run::run(context, args).await,
        Command::Serve(args) => serve::run(context, args).await,
        Command::Up(args) => Box::pin(up::run(context, args)).await,
        Command::Worker(args) => Box::pin(worker::run(context, args)).await,
        Command::Workers(args) => workers::run(context, &args).await,
        Command::Ps(args) => ps::run(context, args).await,
        Command::Logs(args) => logs::run(context, args).await,
        Command::Wait(args) => wait::run(context, args).await,
        Command::Stop(args) => stop::run(context, args).await,
        Command::Restart(args) => Box::pin(restart::run(context, args)).await,
        Command::Retry(args) => retry::run(context, args).await,
        Command::Fork(args) => fork::run(context, args).await,
        Command::Replay(args) => replay::run(context, args).await,
        Command::Dlq(command) => dlq::run(context, command).await,
        Command::Rm(args) => rm::run(context, args).await,
        Command::Prune(args) => prune::run(context, args).await,
        Command::Approvals(command) => approvals::run(context, command).await,
        Command::Approve(args) => decide::run(context, args, ApprovalVerdict::Approve).await,
        Command::Reject(args) => decide::run(context, args, ApprovalVerdict::Reject).await,
        Command::Input(args) => input::run(context, args).await,
        Command::Pause(args) => pause::run(context, args).await,
        Command::Systemd(args) => systemd::run(context, &args).await,
        Command::Wake(args) => wake::run(context, args).await,
        Command::Resume(args) => resume::run(context, args).await,
        Command::InspectRun(args) => inspect_run::run(context, args).await,
        Command::Events(args) => events::run(context, args).await,
        Command::Graph(args) => graph::run(context, args).await,
        Command::Messages(args) => messages::run(context, args).await,
        Command::Trace(args) => trace::run(context, args).await,
        Command::Usage(args) => usage::run(context, args).await,
        Command::Prices(args) => prices::run(context, &args),
        Command::Artifacts(args) => artifacts::run(context, args).await,
        Command::Output(args) => output::run(context, args).await,
        Command::Container(command) => container::run(context, command).await,
        Command::Bom(args) => bom::run(context, args).await,
        Command::Build(args) => build::run(context, &args),
        Command::Validate(args) => validate::run(context, &args).await,
        Command::Schema(args) => schema::run(context, &args),
        Command::Secret(command) => secret::run(context, command),
        Command::Export(args) => export::run(context, args).await,
        Command::Import(args) => import::run(context, args).await,
        Command::Verify(args) => verify::run(context, args).await,
        Command::Schedules(command) => schedules::run(context, command).await,
        Command::Hooks(command) => hooks::run(context, command).await,
        Command::Callbacks(command) => callbacks::run(context, command).await,
        Command::Config(command) => config::run(context, command),
        Command::Keys(command) => keys::run(context, command).await,
        Command::Audit(command) => audit::run(context, command).await,
        Command::Sessions(command) => sessions::run(context, command).await,
        Command::Push(args) => push::run(context, args).await,
        Command::Agents(command) => agents::run(context, command).await,
        Command::Context(command) => context::run(context, command),
        Command::Migrate(args) => migrate::run(context, &args),
        Command::Registry(command) => registry::run(context, &command).await,
        Command::Explain(args) => explain::run(context, &args),
        Command::Agent(command) => agent::run(context, command).await,
        Command::Completions(args) => completions::run(context, &args, Cli::command()),
        Command::Man(args) => man::run(context, &args, Cli::command()),
        Command::Internal(command) => internal::run(context, command, Cli::command).await,
    }
}

/// Returns true if a command reads the registry of this machine, unless it goes to a server.
const fn reads_registry(command: &Command) -> bool {
    !matches!(
        command,
        Command::Schema(_)
            | Command::Explain(_)
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Context(_)
            | Command::Registry(registry::Command::Trust { .. })
            // Called inside a run, through its socket.
            | Command::Agent(_)
            // Its launcher has checked the owner.
            | Command::Internal(_)
    )
}

/// Refuses a command that works only on the registry of this machine, if a server is selected.
fn refuse_afar(context: &Context, command: &Command) -> Result<(), Failure> {
    let is_local = matches!(
        command,
        Command::Serve(_)
            | Command::Systemd(_)
            | Command::Registry(_)
            | Command::Secret(_)
            | Command::Import(_)
            | Command::Build(_)
            | Command::Prices(_)
            // On another registry than the intended one these would do harm.
            | Command::Keys(_)
            | Command::Audit(_)
    );
    // Commands about this machine alone ignore a selected context.
    let is_here = matches!(
        command,
        Command::Up(_) | Command::Worker(_) | Command::Config(_) | Command::Migrate(_)
    ) && context.typed_server().is_some_and(|server| server != "local");
    // An agent's commands go to its own run, whatever server the environment names.
    let is_agent = matches!(command, Command::Agent(_)) && context.typed_server().is_some();
    if !is_local && !is_agent && !is_here {
        return Ok(());
    }
    let Some(target) = context.server()? else { return Ok(()) };
    let what = format!("this works on this machine only, and not over {}", target.url);
    Err(Failure::new(ErrorCode::OnlyLocal, what).hint(
        "add `--server local` for the registry here; `errand push` brings agents to a server",
    ))
}
