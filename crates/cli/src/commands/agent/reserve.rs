//! `errand agent reserve`: reserves a part of the budget before it is used.

use errand_agent::agent_api::{Client, ClientError};
use errand_api::agent_protocol::{Reserve, ReserveKind};
use errand_api::error_code::ErrorCode;

use super::{failed, json};
use crate::context::Context;
use crate::failure::Failure;

/// Exit code of a refused reservation.
const REFUSED: u8 = 1;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  id=$(errand agent reserve model --tokens 4000 --model gpt-4o-mini --provider openai) || exit 0
  errand agent emit model.called \"{\\\"reservation_id\\\": \\\"$id\\\", \\\"input_tokens\\\": 900}\"
  errand agent reserve tool --tool send_mail --arguments '{\"to\": \"ann\"}' --json
  errand agent reserve --release \"$id\"
Exit codes: 0 granted, 1 the budget leaves no room, or a policy denies the call.")]
pub(crate) struct Args {
    /// Kind of the planned call
    #[arg(required_unless_present = "release")]
    kind: Option<Kind>,
    /// Greatest number of tokens, in and out
    #[arg(long, value_name = "N")]
    tokens: Option<u64>,
    /// Output tokens of these
    #[arg(long, value_name = "N", requires = "tokens")]
    output_tokens: Option<u64>,
    /// Greatest cost in US dollars; without it the price table gives the cost
    #[arg(long, value_name = "USD")]
    cost_usd: Option<String>,
    /// Provider of the model
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Name of the model
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Name of the tool
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// Arguments of the tool: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON", requires = "tool")]
    arguments: Option<String>,
    /// The step that the call belongs to; by default the one it is made in
    #[arg(long, value_name = "KEY")]
    step: Option<String>,
    /// Give a reservation back instead: the call will not be made
    #[arg(long, value_name = "ID", exclusive = true)]
    release: Option<String>,
    /// Print all that was reserved as JSON
    #[arg(long)]
    json: bool,
}

/// Kind of the planned call.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// A model
    Model,
    /// A tool
    Tool,
}

pub(super) async fn run(context: &Context, mut client: Client, args: Args) -> Result<u8, Failure> {
    if let Some(id) = &args.release {
        client.release(id).await.map_err(failed)?;
        return Ok(0);
    }
    let step = args.step.or_else(|| super::step_around(context));
    let call = Reserve {
        kind: match args.kind {
            Some(Kind::Tool) => ReserveKind::Tool,
            Some(Kind::Model) | None => ReserveKind::Model,
        },
        tokens: args.tokens,
        output_tokens: args.output_tokens,
        cost_usd: args.cost_usd.map(Into::into),
        provider: args.provider,
        model: args.model,
        tool: args.tool,
        arguments: args.arguments.as_deref().map(json).transpose()?,
        step,
    };
    let answer = loop {
        match client.reserve(&call).await {
            // A person is asked: the same call waits for the same answer.
            Err(error) if error.code() == ErrorCode::ApprovalPending => {}
            answer => break answer.map_err(refused)?,
        }
    };
    if args.json {
        let document = serde_json::to_value(&answer)
            .map_err(|error| Failure::internal("cannot write JSON", &error))?;
        super::print(context, &document)?;
    } else {
        context.printer.line(&answer.reservation_id)?;
    }
    Ok(0)
}

fn refused(error: ClientError) -> Failure {
    let is_refused = matches!(
        error.code(),
        ErrorCode::BudgetExceeded | ErrorCode::ModelUnpriced | ErrorCode::PolicyDenied
    );
    let failure = failed(error);
    if is_refused { failure.exit_with(REFUSED) } else { failure }
}
