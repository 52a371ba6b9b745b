//! `errand approve` and `errand reject`: decisions about approvals.

use errand_api::error_code::ErrorCode;
use errand_api::gateway::people::Decided;
use errand_model::event::ApprovalVerdict;
use errand_model::run::DecideApproval;
use errand_model::{Digest, RunId};
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::failure::awaited_secrets;
use crate::place::RegistryOrServer;
use crate::user::decider;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A decision answers exactly one request, once. `errand approvals ls` lists what is open.")]
pub(crate) struct Args {
    /// The run; or a coordinator, for the only approval that is open below it
    run: String,
    /// Approval, by its id: needed where the run waits for several
    #[arg(long, value_name = "ID")]
    approval: Option<String>,
    /// A word for the agent and the record
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Decide only if this is the digest of what would be done
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Name of the person who decides; by default the user
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Print the decision as JSON
    #[arg(long)]
    json: bool,
}

/// Decides an approval. Returns once the decision is durable, and a parked run continues.
pub(crate) async fn run(
    context: &Context,
    args: Args,
    verdict: ApprovalVerdict,
) -> Result<u8, Failure> {
    let digest = args.digest.map(Digest::try_from).transpose().map_err(|error| {
        Failure::new(ErrorCode::Usage, format!("--digest: {error}"))
            .hint("a digest is sha256: and 64 hex digits, as `errand approvals ls --json` shows it")
    })?;
    let decide = DecideApproval {
        approval_id: args.approval,
        decision: verdict,
        by: decider(context, args.by)?,
        comment: args.comment,
        digest,
        decision_id: None,
    };
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let (by, comment) = (decide.by.clone(), decide.comment.clone());
    let Decided { run_id, approval_id, .. } = place.decide(&run_id, decide).await?;
    if args.json {
        context.printer.json(&json!({
            "schema": 1,
            "run_id": run_id,
            "approval_id": approval_id,
            "decision": verdict,
            "decided_by": by,
            "comment": comment,
        }))?;
    } else {
        context.printer.line(&approval_id)?;
    }
    check_decided(context, &place, &run_id).await?;
    Ok(0)
}

/// Fails if a run cannot continue after a decision, since its next attempt lacks secrets. The
/// decision is recorded regardless, and a note says so.
pub(super) async fn check_decided(
    context: &Context,
    place: &RegistryOrServer,
    run_id: &str,
) -> Result<(), Failure> {
    let checked = check_goes_on(place, run_id).await;
    if checked.as_ref().is_err_and(|failure| failure.code() == ErrorCode::SecretMissing) {
        context.printer.note("what was decided is recorded, and is not asked again");
    }
    checked
}

/// Fails if a run cannot continue, since its next attempt lacks secrets.
pub(super) async fn check_goes_on(place: &RegistryOrServer, run_id: &str) -> Result<(), Failure> {
    let Ok(run_id) = run_id.parse::<RunId>() else { return Ok(()) };
    let names = place.awaited_secrets(&run_id).await?;
    if names.is_empty() {
        return Ok(());
    }
    Err(awaited_secrets::failure(&run_id, &names))
}
