//! `errand agent brief`: prints the run's brief.

use errand_agent::agent_api::Client;

use super::failed;
use crate::context::Context;
use crate::failure::Failure;

pub(super) async fn run(context: &Context, mut client: Client) -> Result<(), Failure> {
    let brief = client.brief().await.map_err(failed)?;
    context.printer.bytes(&brief)?;
    if brief.ends_with(b"\n") { Ok(()) } else { context.printer.bytes(b"\n") }
}
