//! `errand input`: the answer to a question of an agent.

use errand_api::error_code::ErrorCode;
use errand_engine::ask::AnswerDraft;

use super::decide::check_decided;
use super::submit;
use crate::context::Context;
use crate::failure::Failure;
use crate::user::decider;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
`errand approvals ls` lists what is open.

Examples:
  errand input 01jz '{\"region\": \"eu\"}'
  errand input 01jz '\"eu\"'
  errand input 01jz @answer.json")]
pub(crate) struct Args {
    /// The run; or a coordinator, for the only question that is open below it
    run: String,
    /// The answer: a JSON document, @FILE, or - for stdin
    #[arg(allow_hyphen_values = true)]
    answer: String,
    /// Question, by its id: needed where the run asks several
    #[arg(long, value_name = "ID")]
    input: Option<String>,
    /// Name of the person who answers; by default the user
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Answers a question. Returns once the answer is durable, and a parked run continues.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let bytes = submit::payload(&args.answer)?;
    let answer = serde_json::from_slice(&bytes).map_err(|error| {
        Failure::new(ErrorCode::AnswerInvalid, "the answer is not one JSON document")
            .because(&error)
            .hint("quote JSON for the shell, such as '{\"page\": 7}'; text is '\"text\"'")
    })?;
    let by = decider(context, args.by)?;
    let draft = AnswerDraft { input_id: args.input, answer, by, decision_id: None };
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let provided = place.provide(&run_id, draft).await?;
    context.printer.line(&provided.input_id)?;
    check_decided(context, &place, &provided.run_id).await?;
    Ok(0)
}
