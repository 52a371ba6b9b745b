//! `errand rm`: removes runs.

use errand_api::audit::Action;
use errand_engine::Engine;
use errand_engine::audit::{self, AuditedAction};
use errand_engine::garbage::{self, Released};
use errand_engine::remove::{removable, remove, remove_by_force};
use errand_model::RunId;
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::user::actor;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The runs
    #[arg(required = true)]
    runs: Vec<String>,
    /// Kill a run that lives
    #[arg(short, long)]
    force: bool,
}

/// Removes runs and prints their ids. All are looked up before the first is removed.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let mut ids = Vec::new();
    for run in &args.runs {
        let run_id = place.resolve_strictly(run).await?;
        if !ids.contains(&run_id) {
            ids.push(run_id);
        }
    }
    let mut released = Released::default();
    for run_id in ids {
        match &place {
            RegistryOrServer::Here(engine) if args.force => {
                note_removal(context, engine, &run_id).await;
                released.extend(remove_by_force(engine, &run_id).await?);
            }
            RegistryOrServer::Here(engine) => {
                drop(Box::pin(removable(engine, &run_id)).await?);
                note_removal(context, engine, &run_id).await;
                released.extend(remove(engine, &run_id).await?);
            }
            RegistryOrServer::There(remote) => remote.remove(&run_id, args.force).await?,
        }
        context.printer.line(run_id.as_str())?;
    }
    if let RegistryOrServer::Here(engine) = &place {
        garbage::free(engine, released).await?;
    }
    Ok(0)
}

/// Records the removal of a run in the audit log, the only trace that is left of it.
async fn note_removal(context: &Context, engine: &Engine, run_id: &RunId) {
    let Ok(Some(stored)) = engine.store().load(run_id).await else { return };
    let deed = AuditedAction {
        namespace: stored.run.spec.namespace.as_deref(),
        action: Action::RunRemoved,
        object: run_id.as_str(),
        by: &actor(context),
        detail: json!({ "agent": stored.run.spec.agent.name }),
    };
    // A full disk prevents the entry, and removal makes room.
    drop(audit::record(engine, deed).await);
}
