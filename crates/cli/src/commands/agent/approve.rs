//! `errand agent approve`: asks a person for approval.
//!
//! Waits for the decision by long polls, which cost nothing meanwhile.

use std::time::Duration;

use clap::ValueEnum;
use errand_agent::agent_api::{Client, ClientError};
use errand_api::agent_protocol::{AskApproval, limit};
use errand_api::exit_code;
use errand_model::event::{ApprovalVerdict, DeadlineDefault};
use serde_json::json;

use super::{failed, print, step_around, submit};
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 approved, 1 rejected, 75 parked

Example:
  errand agent approve --action deploy --target production --digest \"sha256:$SUM\" --park || exit $?")]
pub(crate) struct Args {
    /// Action that needs approval
    #[arg(long)]
    action: String,
    /// Target of the action
    #[arg(long)]
    target: String,
    /// Summary for the person who decides
    #[arg(long, value_name = "TEXT")]
    summary: Option<String>,
    /// Digest of the exact action, sha256:HEX: the decision covers nothing else
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// The step for which it is asked; by default the one whose command asks
    #[arg(long, value_name = "KEY")]
    step: Option<String>,
    /// Tells this question from others of the run with the same action, target and digest
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Time limit for the decision, such as 30m; by default that of the agent file
    #[arg(long, value_name = "DURATION", value_parser = submit::duration)]
    timeout: Option<Duration>,
    /// Decision if no person decides in time
    #[arg(long, value_enum, default_value_t = Default::Reject)]
    default: Default,
    /// Return at once with exit code 75: the agent exits, and the decision starts its next attempt
    #[arg(long)]
    park: bool,
}

/// Decision if no person decides in time.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Default {
    /// The action is approved
    Approve,
    /// The action is rejected
    Reject,
    /// The run is stopped
    Cancel,
}

/// Asks, waits, and prints the decision.
pub(super) async fn run(context: &Context, mut client: Client, args: Args) -> Result<u8, Failure> {
    let ask = AskApproval {
        action: args.action,
        target: args.target,
        summary: args.summary,
        digest: args.digest,
        step: args.step.or_else(|| step_around(context)),
        key: args.key,
        timeout_ms: args.timeout.map(millis),
        default: Some(match args.default {
            Default::Approve => DeadlineDefault::Approve,
            Default::Reject => DeadlineDefault::Reject,
            Default::Cancel => DeadlineDefault::Cancel,
        }),
        park: args.park,
        wait_ms: Some(limit::ASK_WAIT_LIMIT_MS),
    };
    loop {
        let answer = match client.ask_approval(&ask).await {
            // The run was paused meanwhile: the deadline of the question stood still, the poll's
            // did not.
            Err(ClientError::Silent { .. }) => continue,
            answer => answer.map_err(failed)?,
        };
        let code = match answer.decision {
            Some(ApprovalVerdict::Approve) => exit_code::SUCCESS,
            Some(ApprovalVerdict::Reject) => exit_code::REJECTED,
            None if answer.parked => exit_code::PARKED,
            None => continue,
        };
        print(
            context,
            &json!({
                "schema": 1,
                "approval_id": answer.approval_id,
                "decision": answer.decision,
                "decided_by": answer.decided_by,
                "comment": answer.comment,
                "by_deadline": answer.by_deadline,
                "digest": answer.digest,
                "parked": answer.parked,
            }),
        )?;
        return Ok(code);
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
