//! `errand approve` and `errand reject`: decisions about approvals.

use errand_api::error_code::ErrorCode;
use errand_engine::ask::{self, Decide};
use errand_engine::operations::RunOperations as _;
use errand_engine::people::{self, What};
use errand_model::event::ApprovalVerdict;
use errand_model::{Digest, RunId};
use serde_json::json;

use super::stop::decider;
use crate::awaited_secrets;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::Place;

/// Arguments of `errand approve` and `errand reject`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A decision answers exactly one request, once. `errand approvals ls` lists what is open.")]
pub(crate) struct Args {
    /// The run; or a coordinator, for the only approval that is open below it
    run: String,
    /// Which approval, by its id: needed where the run waits for several
    #[arg(long, value_name = "ID")]
    approval: Option<String>,
    /// A word for the agent and the record
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Decide only if this is the digest of what would be done
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Who decides; by default the user
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
    let decide = Decide {
        approval_id: args.approval,
        verdict,
        by: decider(context, args.by)?,
        comment: args.comment,
        digest,
    };
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let (run_id, approval_id) = match &place {
        Place::Here(engine) => {
            let id = decide.approval_id.as_deref();
            let run_id = people::asker(engine, &run_id, What::Approval, id).await?;
            let approval = ask::decide(engine, &run_id, &decide).await?;
            (run_id.to_string(), approval.request.approval_id)
        }
        Place::There(remote) => {
            let decided = remote.decide(&run_id, &decide).await?;
            (decided.run_id, decided.approval_id)
        }
    };
    if args.json {
        context.printer.json(&json!({
            "schema": 1,
            "run_id": run_id,
            "approval_id": approval_id,
            "decision": decide.verdict,
            "decided_by": decide.by,
            "comment": decide.comment,
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
    place: &Place,
    run_id: &str,
) -> Result<(), Failure> {
    let checked = check_goes_on(place, run_id).await;
    if checked.as_ref().is_err_and(|failure| failure.code() == ErrorCode::SecretMissing) {
        context.printer.note("what was decided is recorded, and is not asked again");
    }
    checked
}

/// Fails if a run cannot continue, since its next attempt lacks secrets.
pub(super) async fn check_goes_on(place: &Place, run_id: &str) -> Result<(), Failure> {
    let Ok(run_id) = run_id.parse::<RunId>() else { return Ok(()) };
    let names = match place {
        Place::Here(engine) => ask::awaited_secrets(engine, &run_id).await?,
        Place::There(remote) => {
            remote.record(&run_id).await?.pause.map(|pause| pause.secrets).unwrap_or_default()
        }
    };
    if names.is_empty() {
        return Ok(());
    }
    Err(awaited_secrets::failure(&run_id, &names))
}
