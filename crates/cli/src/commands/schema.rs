//! `errand schema`: the JSON Schema of the agent file.

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Prints the JSON Schema (2020-12) of the agent file.
pub(crate) fn run(context: &Context, _: &Args) -> Result<u8, Failure> {
    context.printer.json(&errand_api::schema::agent_file())?;
    Ok(0)
}
