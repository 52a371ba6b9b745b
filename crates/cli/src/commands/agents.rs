//! `errand agents`: agents registered with a server.

use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use super::push::server;
use crate::context::Context;
use crate::failure::Failure;
use crate::remote::Agent;
use crate::render;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List agents by name, each in its current version
    Ls(Ls),
    /// Show an agent, or one version of it: NAME or NAME@VERSION
    Show(Name),
    /// Forget agents, or versions of them; their runs are kept
    Rm(Names),
}

impl Command {
    /// Returns the command that lists all of them.
    pub(super) const fn ls(json: bool) -> Self {
        Self::Ls(Ls { quiet: false, json })
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// Print names only
    #[arg(short, long)]
    quiet: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Name {
    /// The agent
    agent: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Names {
    /// The agents
    #[arg(required = true, value_name = "AGENT")]
    agents: Vec<String>,
}

/// Executes a subcommand.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    let remote = server(context)?;
    match command {
        Command::Ls(args) => {
            let agents = remote.agents().await?;
            if args.json {
                context.printer.json(&json!({ "schema": 1, "agents": agents }))?;
            } else if args.quiet {
                agents.iter().try_for_each(|agent| context.printer.line(&agent.name))?;
            } else {
                context.printer.line(&table(&agents))?;
            }
        }
        Command::Show(args) => context.printer.json(&remote.agent(&args.agent).await?)?,
        Command::Rm(args) => {
            for agent in &args.agents {
                remote.remove_agent(agent).await?;
                context.printer.line(agent)?;
            }
        }
    }
    Ok(0)
}

fn table(agents: &[Agent]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["AGENT", "VERSION", "DIGEST", "DESCRIPTION"]);
    for agent in agents {
        table.add_row([
            render::one_line(&agent.name),
            render::one_line(&agent.version),
            render::at_most(&agent.digest, "sha256:".len() + 12),
            agent.description().map_or_else(String::new, render::one_line),
        ]);
    }
    render::lines(&mut table)
}
