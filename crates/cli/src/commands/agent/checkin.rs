//! `errand agent checkin`: prints the starting state of the attempt.

use errand_agent::agent_api::Client;

use super::failed;
use crate::context::Context;
use crate::failure::Failure;

pub(super) async fn run(context: &Context, mut client: Client) -> Result<(), Failure> {
    let start = client.checkin().await.map_err(failed)?;
    context.printer.json(&start)
}
