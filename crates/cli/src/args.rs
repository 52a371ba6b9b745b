//! Command line of errand. Help texts say what a command does; each command's file has the details.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands;

/// Runs AI agents and keeps the record.
///
/// Data goes to stdout, everything else to stderr. Runs may be named by their id, any unique part
/// of it, or the name they were given.
#[derive(Debug, Parser)]
#[expect(clippy::doc_markdown, reason = "help texts are read in a terminal")]
#[command(name = "errand", version, propagate_version = false, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The registry's folder; by default the nearest `.errand` here or above [env: ERRAND_ROOT]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) root: Option<PathBuf>,
    /// The server that does it, or the name of a context; `local` is this machine
    /// [env: ERRAND_SERVER, ERRAND_API_KEY]
    #[arg(long, global = true, value_name = "URL", conflicts_with = "root")]
    #[arg(help_heading = "Global options")]
    pub(crate) server: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an agent, and show its output until it ends; or leave it running with -d
    Run(commands::run::Args),
    /// Keep an agent as a service that schedules, requests and heartbeats wake
    Serve(commands::serve::Args),
    /// Serve runs over HTTP, and carry them out: everything on one machine
    Up(commands::up::Args),
    /// Carry out queued runs, as many at once as there are slots
    Worker(commands::worker::Args),
    /// List workers, and what they do
    Workers(commands::workers::Args),
    /// List runs, newest first: the live ones, or all with -a
    Ps(commands::ps::Args),
    /// Show what a run printed
    Logs(commands::logs::Args),
    /// Wait until runs end, and print one exit code each
    Wait(commands::wait::Args),
    /// End runs: ask, wait for the grace period, kill
    Stop(commands::stop::Args),
    /// Begin a run anew: another attempt while it lives, a new run once it is over
    Restart(commands::restart::Args),
    /// Do a failed or cancelled run again from where it stopped, as a new run
    Retry(commands::retry::Args),
    /// Do a run again from one of its steps on, as a new run
    Fork(commands::fork::Args),
    /// Show what a run did, prove that its agent still does the same, or do it all again
    Replay(commands::replay::Args),
    /// Failed runs whose attempts are spent: look at them, do them again, let them go
    #[command(subcommand)]
    Dlq(commands::dlq::Command),
    /// List what people are asked, across all runs
    #[command(subcommand)]
    Approvals(commands::approvals::Command),
    /// Let an agent do what it asks for
    Approve(commands::decide::Args),
    /// Do not let an agent do what it asks for
    Reject(commands::decide::Args),
    /// Answer what an agent asks
    Input(commands::input::Args),
    /// Freeze everything of a run; its time stands still
    Pause(commands::pause::Args),
    /// Let a paused run go on
    Resume(commands::resume::Args),
    /// Wake a service now
    Wake(commands::wake::Args),
    /// Print a systemd unit that keeps a service: across reboots, too
    Systemd(commands::systemd::Args),
    /// Remove runs that are over, with everything that belongs to them
    Rm(commands::rm::Args),
    /// Remove all runs that are over
    Prune(commands::prune::Args),
    /// Show everything that is known of a run
    #[command(alias = "inspect")]
    InspectRun(commands::inspect_run::Args),
    /// Show the journal of a run
    Events(commands::events::Args),
    /// Draw what a run did with its time, tokens and money
    Trace(commands::trace::Args),
    /// Draw which agents of a coordinated run said what to whom
    Graph(commands::graph::Args),
    /// List what the agents of a coordinated run said to each other
    Messages(commands::messages::Args),
    /// Sum up what calls used: tokens, cost, calls, by run, agent, model, day and more
    Usage(commands::usage::Args),
    /// Show the prices of models that are in force, and where they are from
    Prices(commands::prices::Args),
    /// List the files that a run put out, or print one
    Artifacts(commands::artifacts::Args),
    /// Print what a run produced, however long
    Output(commands::output::Args),
    /// The commands for runs under the names that container tools use
    #[command(subcommand)]
    Container(commands::container::Command),
    /// Show what an agent was made of, and what changed since
    Bom(commands::bom::Args),
    /// Pack an agent's folder into a parcel, and print its digest
    Build(commands::build::Args),
    /// Check an agent file, and report every problem
    Validate(commands::validate::Args),
    /// Print the JSON Schema of the agent file
    Schema(commands::schema::Args),
    /// Keep secrets, encrypted, for agents that name them
    #[command(subcommand)]
    Secret(commands::secret::Command),
    /// Write a run with everything that belongs to it into one file
    Export(commands::export::Args),
    /// Take an exported run into this registry, exactly as it was
    Import(commands::import::Args),
    /// Check that a run's journal, or an exported file, is what was written
    Verify(commands::verify::Args),
    /// List, show and remove what outlives the runs of a conversation
    #[command(subcommand)]
    Sessions(commands::sessions::Command),
    /// Slots of time that fire runs of registered agents
    #[command(subcommand)]
    Schedules(commands::schedules::Command),
    /// Requests from outside that fire runs of registered agents
    #[command(subcommand)]
    Hooks(commands::hooks::Command),
    /// Reports of runs to whoever asked for them, and their receivers
    #[command(subcommand)]
    Callbacks(commands::callbacks::Command),
    /// Show or check how a server and a worker are configured
    #[command(subcommand)]
    Config(commands::config::Command),
    /// Make, list and take back the API keys of a server
    #[command(subcommand)]
    Keys(commands::keys::Command),
    /// List what administrators did
    #[command(subcommand)]
    Audit(commands::audit::Command),
    /// Pack an agent's folder and register it with the server
    Push(commands::push::Args),
    /// Registered agents of the server
    #[command(subcommand)]
    Agents(commands::agents::Command),
    /// Servers under names, and which of them commands go to
    #[command(subcommand)]
    Context(commands::context::Command),
    /// Bring the schema of a PostgreSQL database up to date
    Migrate(commands::migrate::Args),
    /// Check and mend the registry
    #[command(subcommand)]
    Registry(commands::registry::Command),
    /// Tell more about an error code
    Explain(commands::explain::Args),
    /// For agents, from inside their run: durable steps, events, outputs
    #[command(subcommand)]
    Agent(commands::agent::Command),
    /// Print a completion script for a shell
    Completions(commands::completions::Args),
    /// Print the manual page
    Man(commands::man::Args),
    #[command(subcommand, hide = true)]
    Internal(commands::internal::Command),
}
