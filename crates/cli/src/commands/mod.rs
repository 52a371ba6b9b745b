//! Commands, one file each, and the list of them.

pub(crate) mod agent;
mod agent_choice;
pub(crate) mod agents;
pub(crate) mod approvals;
pub(crate) mod artifacts;
pub(crate) mod audit;
mod away;
pub(crate) mod bom;
pub(crate) mod brief;
mod brief_args;
pub(crate) mod build;
pub(crate) mod bus;
mod busy;
pub(crate) mod callbacks;
mod calls;
pub(crate) mod catalog;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod container;
pub(crate) mod context;
pub(crate) mod database;
pub(crate) mod decide;
pub(crate) mod detached;
mod difference;
mod dispatcher;
pub(crate) mod dlq;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod export;
mod family;
pub(crate) mod fork;
mod given_provider;
mod given_sandbox;
pub(crate) mod graph;
mod held_up;
mod helper_report;
pub(crate) mod hooks;
pub(crate) mod import;
pub(crate) mod input;
pub(crate) mod inspect_run;
pub(crate) mod internal;
pub(crate) mod keys;
pub(crate) mod logs;
mod made_agent;
pub(crate) mod man;
mod mcp_file;
pub(crate) mod messages;
pub(crate) mod migrate;
mod named_elsewhere;
pub(crate) mod output;
mod packed;
pub(crate) mod pause;
pub(crate) mod policy;
pub(crate) mod prices;
pub(crate) mod prune;
pub(crate) mod ps;
pub(crate) mod push;
mod reference;
pub(crate) mod registry;
pub(crate) mod replay;
pub(crate) mod restart;
pub(crate) mod resume;
pub(crate) mod retry;
pub(crate) mod rm;
pub(crate) mod run;
mod run_end;
pub(crate) mod schedules;
pub(crate) mod schema;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod sessions;
pub(crate) mod stop;
mod submit;
pub(crate) mod systemd;
pub(crate) mod trace;
pub(crate) mod up;
pub(crate) mod usage;
pub(crate) mod validate;
pub(crate) mod verify;
pub(crate) mod wait;
pub(crate) mod wake;
pub(crate) mod worker;
pub(crate) mod workers;

use clap::Subcommand;
use errand_api::error_code::ErrorCode;
use errand_model::event::ApprovalVerdict;

use crate::context::Context;
use crate::failure::Failure;
use crate::help::CommandGroup;

/// Groups of commands in `errand --help`, by purpose. A command in no group is listed under "More".
pub(crate) const GROUPS: [CommandGroup; 8] = [
    ("Run agents", &["run", "serve", "wake", "stop", "wait", "restart", "pause", "resume"]),
    (
        "Look at runs",
        &[
            "ps",
            "logs",
            "inspect-run",
            "output",
            "events",
            "brief",
            "calls",
            "trace",
            "graph",
            "messages",
            "artifacts",
            "usage",
        ],
    ),
    ("Answer what agents ask", &["approvals", "approve", "reject", "input"]),
    ("Do a run again", &["retry", "fork", "replay", "dlq"]),
    ("Keep and remove", &["rm", "prune", "export", "import", "verify", "sessions", "registry"]),
    (
        "Write agents",
        &["validate", "build", "schema", "bom", "secret", "prices", "push", "agents", "agent"],
    ),
    ("Share definitions", &["apply", "get", "diff", "delete", "policy"]),
    (
        "Run a server",
        &[
            "up",
            "worker",
            "dispatcher",
            "workers",
            "schedules",
            "hooks",
            "callbacks",
            "keys",
            "audit",
            "config",
            "context",
            "migrate",
            "systemd",
        ],
    ),
];

/// All commands. The arguments of one are set up only when it is called.
// Argument types have no doc comments: clap applies them after the variant's and would replace its
// help text.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Run an agent, and show its output until it ends; or leave it running with -d
    Run(Box<run::Args>),
    /// Keep an agent as a service that schedules, requests and heartbeats wake
    Serve(serve::Args),
    /// Serve runs over HTTP, and carry them out: everything on one machine
    Up(up::Args),
    /// Carry out queued runs, as many at once as there are slots
    Worker(worker::Args),
    /// Carry out tasks that a controller sends: containers, over a small HTTP API
    Dispatcher(dispatcher::Args),
    /// List workers, and what they do
    Workers(workers::Args),
    /// List runs, newest first: the live ones, or all with -a
    Ps(ps::Args),
    /// Show what a run printed
    Logs(logs::Args),
    /// Wait until runs end, and print one exit code each
    Wait(wait::Args),
    /// End runs: ask, wait for the grace period, kill
    Stop(stop::Args),
    /// Begin a run anew: another attempt while it lives, a new run once it is over
    Restart(restart::Args),
    /// Do a failed or cancelled run again from where it stopped, as a new run
    Retry(retry::Args),
    /// Do a run again from one of its steps on, as a new run
    Fork(fork::Args),
    /// Show what a run did, prove that its agent still does the same, or do it all again
    Replay(replay::Args),
    /// Failed runs whose attempts are spent: look at them, do them again, let them go
    #[command(subcommand)]
    Dlq(dlq::Command),
    /// List what people are asked, across all runs
    #[command(subcommand)]
    Approvals(approvals::Command),
    /// Let an agent do what it asks for
    Approve(decide::Args),
    /// Do not let an agent do what it asks for
    Reject(decide::Args),
    /// Answer what an agent asks
    Input(input::Args),
    /// Freeze everything of a run; its time stands still
    Pause(pause::Args),
    /// Let a paused run go on
    Resume(resume::Args),
    /// Wake a service now
    Wake(wake::Args),
    /// Print a systemd unit that keeps a service: across reboots, too
    Systemd(systemd::Args),
    /// Remove runs that are over, with everything that belongs to them
    Rm(rm::Args),
    /// Remove all runs that are over
    Prune(prune::Args),
    /// Show everything that is known of a run
    #[command(alias = "inspect")]
    InspectRun(inspect_run::Args),
    /// Show the journal of a run
    Events(events::Args),
    /// Show what a run's agent was told at boot
    Brief(brief::Args),
    /// Show the model calls of a run, and what was said in them
    Calls(calls::Args),
    /// Draw what a run did with its time, tokens and money
    Trace(trace::Args),
    /// Draw which agents of a coordinated run said what to whom
    Graph(graph::Args),
    /// List what the agents of a coordinated run said to each other
    Messages(messages::Args),
    /// Sum up what calls used: tokens, cost, calls, by run, agent, model, day and more
    Usage(usage::Args),
    /// Show what policies decided, and try a policy on recorded runs
    #[command(subcommand)]
    Policy(policy::Command),
    /// Show the prices of models that are in force, and where they are from
    Prices(prices::Args),
    /// List the files that a run put out, or print one
    Artifacts(artifacts::Args),
    /// Print what a run produced, however long
    Output(output::Args),
    /// The commands for runs under the names that container tools use
    #[command(subcommand)]
    Container(container::Command),
    /// Show what an agent was made of, and what changed since
    Bom(bom::Args),
    /// Pack an agent's folder into a parcel, and print its digest
    Build(build::Args),
    /// Check an agent file, and report every problem
    Validate(validate::Args),
    /// Store skills, configs and other definitions in the catalog: all of them, or none
    Apply(catalog::apply::Args),
    /// List definitions of the catalog, or print one
    Get(catalog::get::Args),
    /// Show what `errand apply` would change
    Diff(catalog::diff::Args),
    /// Delete definitions of the catalog
    Delete(catalog::delete::Args),
    /// Print the JSON Schema of the agent file, or of a kind of definition
    Schema(schema::Args),
    /// Keep secrets, encrypted, for agents that name them
    #[command(subcommand)]
    Secret(secret::Command),
    /// Write a run with everything that belongs to it into one file
    Export(export::Args),
    /// Take an exported run into this registry, exactly as it was
    Import(import::Args),
    /// Check that a run's journal, or an exported file, is what was written
    Verify(verify::Args),
    /// List, show and remove what outlives the runs of a conversation
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// Slots of time that fire runs of registered agents
    #[command(subcommand)]
    Schedules(schedules::Command),
    /// Requests from outside that fire runs of registered agents
    #[command(subcommand)]
    Hooks(hooks::Command),
    /// Reports of runs to subscribed URLs, and their receivers
    #[command(subcommand)]
    Callbacks(callbacks::Command),
    /// Show or check how a server and a worker are configured
    #[command(subcommand)]
    Config(config::Command),
    /// Make, list and take back the API keys of a server
    #[command(subcommand)]
    Keys(keys::Command),
    /// List what administrators did
    #[command(subcommand)]
    Audit(audit::Command),
    /// Pack an agent's folder and register it with the server
    Push(push::Args),
    /// Registered agents of the server
    #[command(subcommand)]
    Agents(agents::Command),
    /// Servers under names, and which of them commands go to
    #[command(subcommand)]
    Context(context::Command),
    /// Bring the schema of a PostgreSQL database up to date
    Migrate(migrate::Args),
    /// Check and mend the registry
    #[command(subcommand)]
    Registry(registry::Command),
    /// Tell more about an error code
    Explain(explain::Args),
    /// For agents, from inside their run: durable steps, events, outputs
    #[command(subcommand)]
    Agent(agent::Command),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print the manual page
    Man(man::Args),
    #[command(subcommand, hide = true)]
    Internal(internal::Command),
}

/// Maker of the command line that has all commands.
type MakeCli = fn() -> clap::Command;

/// Executes a command; `cli` is the command line that has all commands. Returns the exit code.
pub(crate) async fn run(context: &Context, command: Command, cli: MakeCli) -> Result<u8, Failure> {
    check_place(context, &command)?;
    carry_out(context, command, cli).await
}

#[expect(clippy::too_many_lines, reason = "a line for each command")]
async fn carry_out(context: &Context, command: Command, cli: MakeCli) -> Result<u8, Failure> {
    match command {
        Command::Run(args) => run::run(context, *args).await,
        Command::Serve(args) => serve::run(context, args).await,
        Command::Up(args) => Box::pin(up::run(context, args)).await,
        Command::Worker(args) => Box::pin(worker::run(context, args)).await,
        Command::Dispatcher(args) => Box::pin(dispatcher::run(context, args)).await,
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
        Command::Brief(args) => brief::run(context, args).await,
        Command::Calls(args) => calls::run(context, args).await,
        Command::Trace(args) => trace::run(context, args).await,
        Command::Usage(args) => usage::run(context, args).await,
        Command::Policy(command) => policy::run(context, command).await,
        Command::Prices(args) => prices::run(context, &args).await,
        Command::Artifacts(args) => artifacts::run(context, args).await,
        Command::Output(args) => output::run(context, args).await,
        Command::Container(command) => container::run(context, command).await,
        Command::Bom(args) => bom::run(context, args).await,
        Command::Build(args) => build::run(context, &args).await,
        Command::Validate(args) => validate::run(context, &args).await,
        Command::Apply(args) => catalog::apply::run(context, args).await,
        Command::Get(args) => catalog::get::run(context, args).await,
        Command::Diff(args) => catalog::diff::run(context, args).await,
        Command::Delete(args) => catalog::delete::run(context, args).await,
        Command::Schema(args) => schema::run(context, &args),
        Command::Secret(command) => secret::run(context, command),
        Command::Export(args) => export::run(context, args).await,
        Command::Import(args) => import::run(context, args).await,
        Command::Verify(args) => verify::run(context, args).await,
        Command::Schedules(command) => schedules::run(context, command).await,
        Command::Hooks(command) => hooks::run(context, command).await,
        Command::Callbacks(command) => callbacks::run(context, command).await,
        Command::Config(command) => config::run(context, command).await,
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
        Command::Completions(args) => completions::run(context, &args, cli()),
        Command::Man(args) => man::run(context, &args, cli()),
        Command::Internal(command) => internal::run(context, command, cli).await,
    }
}

/// Refuses a command where it cannot be carried out, and a registry of another user.
fn check_place(context: &Context, command: &Command) -> Result<(), Failure> {
    refuse_afar(context, command)?;
    if reads_registry(command) && context.server()?.is_none() {
        context.check_owner()?;
    }
    Ok(())
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
        Command::Up(_)
            | Command::Dispatcher(_)
            | Command::Worker(_)
            | Command::Config(_)
            | Command::Migrate(_)
    ) && context.typed_server().is_some_and(|server| server != "local");
    // An agent's commands go to its own run, whatever server the environment names.
    let is_agent = matches!(command, Command::Agent(_)) && context.typed_server().is_some();
    if !is_local && !is_agent && !is_here {
        return Ok(());
    }
    refuse_server(context)
}

/// Refuses to work on the registry of this machine while a server is selected.
fn refuse_server(context: &Context) -> Result<(), Failure> {
    let Some(target) = context.server()? else { return Ok(()) };
    let what = format!("this works on this machine only, and not over {}", target.url);
    Err(Failure::new(ErrorCode::OnlyLocal, what).hint(
        "add `--server local` for the registry here; `errand push` brings agents to a server",
    ))
}
