//! `errand bom`: the bill of materials of an agent.

mod diff;
mod ls;
mod subject;

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
#[command(after_help = "\
What can be named: a run (its last attempt), an agent's folder or file (what its inventory would
be), a generation of an agent, the digest of an inventory.

With --diff the exit code is 0 where both are the same and 1 where they differ.

Examples:
  errand bom review > review.cdx.json       the inventory that a run had
  errand bom ./agents/review                what it would be now
  errand bom --diff review ./agents/review  what changed since
  errand bom --diff review@1 review@4
  errand bom ls review                      all generations")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Sub>,
    /// Subject: a run, a path, AGENT@GENERATION or a digest
    #[arg(value_name = "RUN|PATH", required_unless_present = "diff")]
    of: Option<String>,
    /// Compare two inventories, component by component
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with = "of")]
    diff: Vec<String>,
    /// Show that of an earlier attempt of the run
    #[arg(long, value_name = "N", requires = "of")]
    attempt: Option<u32>,
    /// Print the comparison as JSON; an inventory always is (CycloneDX 1.6)
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Sub {
    /// List the generations of an agent's inventory, the latest first
    Ls(ls::Args),
}

/// Shows, compares or lists bills of materials.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    if let Some(Sub::Ls(args)) = &args.command {
        return ls::run(context, args).await;
    }
    if let [from, to] = args.diff.as_slice() {
        return diff::run(context, (from, to), args.json).await;
    }
    let of = args.of.as_deref().unwrap_or_default();
    let found = subject::find(context, of, args.attempt).await?;
    context.printer.json(&found.document)?;
    Ok(0)
}
