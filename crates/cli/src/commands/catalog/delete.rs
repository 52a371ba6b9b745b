//! `errand delete`: deletes definitions.

use errand_api::catalog::CatalogKind;

use super::{kind, shown};
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand delete config style-guide
  errand delete service redis --force       although tiers or agents use it")]
pub(crate) struct Args {
    /// Kind of definition: skill, config, service, tier, dispatcher, price-table or policy
    #[arg(value_name = "KIND", value_parser = kind)]
    kind: CatalogKind,
    /// The definitions
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Delete them even if others refer to them
    #[arg(long)]
    force: bool,
}

/// Deletes definitions.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = super::place(context)?;
    for name in args.names {
        let definition = (args.kind, name);
        place.delete_definition(&definition, args.force).await?;
        context.printer.line(&format!("{} deleted", shown(&definition)))?;
    }
    Ok(0)
}
