//! `errand dispatcher`: a server that carries out the tasks of a controller.
//!
//! The dispatcher is `errand up` with the routes of tasks: a task is a run of its registry whose target is a
//! container, so lifecycle, journal, logs and recovery are those of runs.

use super::bus::BusPlan;
use super::up::{self, ServerKind};
use crate::config::ServerFlags;
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = concat!("\
Examples:
  errand dispatcher                                 on http://127.0.0.1:7070
  errand dispatcher --listen 127.0.0.1:0 --slots 8  on a port that is free, eight tasks at a time
  errand dispatcher --engine unix:///run/podman/podman.sock
  errand dispatcher --bus redis://redis:6379 --blobs s3://bucket/tasks

  curl http://127.0.0.1:7070/tasks --json '{
    \"task_id\": \"t-1\", \"agent_image\": \"ghcr.io/org/agent:1.2\",
    \"env\": {\"REPO\": \"org/repo\"}, \"timeout_seconds\": 3600}'
  curl http://127.0.0.1:7070/tasks/t-1              its state
  curl -N 'http://127.0.0.1:7070/tasks/t-1/log?follow=true'
  curl -X POST http://127.0.0.1:7070/tasks/t-1/cancel", crate::args::target_options!()))]
pub(crate) struct Args {
    #[command(flatten)]
    flags: ServerFlags,
    /// Bus that tasks are taken from, too.
    #[arg(
        long,
        value_name = "URL",
        help = "Take tasks from this bus, too: redis://host[:port][?stream=NAME] or \
                sqs://host/account/queue; needs --blobs and an API key [env: ERRAND_BUS]"
    )]
    bus: Option<String>,
}

/// Serves tasks until it is asked to end.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let bus = BusPlan::of(context, args.bus.as_deref())?;
    let address = context.container_engine();
    // A dispatcher for a cluster alone names no engine, and needs none.
    if address.named.is_some()
        && let Err(error) = errand_container::reach(&address).await
    {
        context.printer.note(&format!("{error}: tasks in containers fail until it does"));
    }
    up::serve_as(ServerKind::Dispatcher { bus }, context, &args.flags).await
}
