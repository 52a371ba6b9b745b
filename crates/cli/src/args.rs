//! Command line of errand. Help texts say what a command does; each command's file has the details,
//! and `commands/mod.rs` the list of commands.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use crate::commands::Command;

/// Runs AI agents and keeps the record.
///
/// Data goes to stdout, everything else to stderr. Runs may be named by their id, any unique part
/// of it, or the name they were given.
#[derive(Debug, Parser)]
#[command(name = "errand", version, propagate_version = false, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Help about the options of targets. Every command takes these options; commands that start agents
/// show this text.
macro_rules! target_options {
    () => {
        "\n\nAgents in containers and Pods (options of every command that meets them):\n  \
         --engine URL               the container engine [env: ERRAND_ENGINE, DOCKER_HOST]\n  \
         --kube-context NAME        the context of the kubeconfig [env: ERRAND_KUBE_CONTEXT, KUBECONFIG]\n  \
         --agent-api tcp://ADDRESS  where Pods reach this machine [env: ERRAND_AGENT_API]\n  \
         --shim-image IMAGE         image with errand in it, for Pods [env: ERRAND_SHIM_IMAGE]"
    };
}

pub(crate) use target_options;

#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "help texts are read in a terminal")]
pub(crate) struct Global {
    /// The registry's folder; by default the nearest `.errand` here or above [env: ERRAND_ROOT]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) root: Option<PathBuf>,
    /// The server that does it, or the name of a context; `local` is this machine
    /// [env: ERRAND_SERVER, ERRAND_API_KEY]
    #[arg(long, global = true, value_name = "URL", conflicts_with = "root")]
    #[arg(help_heading = "Global options")]
    pub(crate) server: Option<String>,
    /// The container engine of this machine: `unix:///path` of its socket [env: ERRAND_ENGINE,
    /// DOCKER_HOST]
    #[arg(long, global = true, hide = true, value_name = "URL", conflicts_with = "server")]
    pub(crate) engine: Option<OsString>,
    /// Context of the kubeconfig for agents in Pods [env: ERRAND_KUBE_CONTEXT, KUBECONFIG]
    #[arg(long, global = true, hide = true, value_name = "NAME", conflicts_with = "server")]
    pub(crate) kube_context: Option<OsString>,
    /// Address at which Pods reach this machine: `tcp://ADDRESS`, with a port or without
    /// [env: ERRAND_AGENT_API]
    #[arg(long, global = true, hide = true, value_name = "URL", conflicts_with = "server")]
    pub(crate) agent_api: Option<OsString>,
    /// Image with errand in it, from which Pods get errand's programs [env: ERRAND_SHIM_IMAGE]
    #[arg(long, global = true, hide = true, value_name = "IMAGE", conflicts_with = "server")]
    pub(crate) shim_image: Option<OsString>,
}
