//! `errand schema`: the JSON Schema of the agent file, or of a kind of definition.

use errand_api::catalog::{self, CatalogKind};

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand schema                  of the agent file
  errand schema skill            of manifests of the kind Skill")]
pub(crate) struct Args {
    /// Kind of definition: skill, config, service, tier, dispatcher, price-table or policy
    #[arg(value_name = "KIND", value_parser = super::catalog::kind)]
    kind: Option<CatalogKind>,
}

/// Prints a JSON Schema (2020-12).
pub(crate) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let schema = args.kind.map_or_else(errand_api::schema::agent_file, catalog::schema);
    context.printer.json(&schema)?;
    Ok(0)
}
