//! `errand policy explain`: decisions of policies in a run.

use comfy_table::{ContentArrangement, Table, presets};
use errand_api::error_code::ErrorCode;
use errand_model::event::{EventBody, PolicyDecided};
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;
use crate::render;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand policy explain review           every decision of a run
  errand policy explain review 17        one decision, with the call that it was about")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Number of a decision's event
    #[arg(value_name = "SEQ")]
    seq: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the decisions of a run, or one of them.
pub(super) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let events = super::journal(&place, &run_id).await?;
    let mut decisions: Vec<(u64, PolicyDecided)> = events
        .iter()
        .filter_map(|event| match event.body() {
            Ok(EventBody::PolicyDecided(decided)) => Some((event.seq, decided)),
            _ => None,
        })
        .filter(|(seq, _)| args.seq.is_none_or(|wanted| wanted == *seq))
        .collect();
    if let (Some(seq), true) = (args.seq, decisions.is_empty()) {
        let message = format!("event {seq} of run {run_id} is no decision of a policy");
        let hint = format!("`errand policy explain {run_id}` lists the decisions");
        return Err(Failure::new(ErrorCode::ParameterInvalid, message).hint(hint));
    }
    if args.seq.is_some() {
        for (_, decided) in &mut decisions {
            super::put_call_back(&place, &run_id, decided).await?;
        }
    }
    if args.json {
        let decisions: Vec<Value> = decisions
            .iter()
            .map(|(seq, decided)| {
                let mut entry = json!(decided);
                entry["seq"] = json!(seq);
                entry
            })
            .collect();
        let document = json!({ "schema": 1, "run_id": run_id, "decisions": decisions });
        context.printer.json(&document)?;
        return Ok(0);
    }
    match (args.seq, decisions.as_slice()) {
        (Some(_), [(_, decided)]) => context.printer.line(&whole(decided))?,
        (_, []) => context.printer.note("no policy was asked about this run"),
        (_, all) => context.printer.line(&table(all))?,
    }
    Ok(0)
}

fn table(decisions: &[(u64, PolicyDecided)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["SEQ", "HOOK", "CALL", "POLICY", "VERDICT", "ENFORCED", "REASON"]);
    for (seq, decided) in decisions {
        table.add_row([
            seq.to_string(),
            render::one_line(&decided.hook),
            render::one_line(decided.subject.as_deref().unwrap_or("-")),
            render::one_line(&decided.policy),
            render::one_line(&decided.verdict),
            render::one_line(&decided.enforced),
            render::one_line(decided.reason.as_deref().unwrap_or("-")),
        ]);
    }
    render::lines(&mut table)
}

/// Returns one decision with its call, uncut.
fn whole(decided: &PolicyDecided) -> String {
    let call = decided.call.as_ref().map(|call| {
        serde_json::to_string_pretty(call).unwrap_or_else(|_| "(cannot be shown)".to_owned())
    });
    let lines = [
        ("hook", Some(decided.hook.clone())),
        ("call of", decided.subject.clone()),
        ("policy", Some(decided.policy.clone())),
        ("verdict", Some(decided.verdict.clone())),
        ("enforced", Some(decided.enforced.clone())),
        ("reason", decided.reason.clone()),
        ("overruled by", decided.by.clone()),
        (
            "obligations",
            (!decided.obligations.is_empty()).then(|| json!(decided.obligations).to_string()),
        ),
        ("labels", (!decided.labels.is_empty()).then(|| decided.labels.join(", "))),
    ];
    let given = lines.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let mut text: Vec<String> =
        given.map(|(name, value)| format!("{name:<13}{}", render::visible(&value))).collect();
    text.extend(call.map(|call| format!("call\n{}", render::visible_lines(&call))));
    text.join("\n")
}
