//! `errand sessions show`: everything that is known of a session.

use errand_agent::Clock as _;
use errand_engine::sessions::{self, Shown};
use errand_model::Timestamp;
use serde_json::{Value, json};

use super::{ls, not_found};
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::relative;
use crate::render;

/// Arguments of `errand sessions show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The session
    session: String,
    /// Show at most so many messages and runs, the newest
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1_000)]
    last: u32,
    /// Print it as one JSON object
    #[arg(long)]
    json: bool,
}

/// Shows one session.
pub(super) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let engine = context.engine()?;
    let shown = sessions::show(&engine, &args.session, args.last).await?;
    let Some(shown) = shown else { return Err(not_found(&args.session)) };
    if args.json {
        context.printer.json(&document(&shown))?;
    } else {
        context.printer.line(&page(&shown, errand_agent::SystemClock.now()))?;
    }
    Ok(0)
}

fn document(shown: &Shown) -> Value {
    let messages: Vec<Value> = shown
        .messages
        .iter()
        .map(|(message, content)| {
            json!({
                "number": message.number, "run_id": message.run_id, "role": message.role,
                "content": content, "at_ms": message.at,
            })
        })
        .collect();
    let results: Vec<Value> = shown
        .results
        .iter()
        .map(|(kept, result)| {
            json!({
                "tool": kept.tool, "key": kept.input_digest, "run_id": kept.run_id,
                "result": result, "at_ms": kept.at, "expires_at_ms": kept.expires_at,
            })
        })
        .collect();
    let runs: Vec<Value> = shown
        .runs
        .iter()
        .map(|run| {
            json!({
                "run_id": run.run_id, "status": run.status, "created_at_ms": run.created_at,
                "rolled_back": run.is_rolled_back,
            })
        })
        .collect();
    let mut document = ls::summary(&shown.session);
    document["schema"] = json!(1);
    document["state"] = shown.state.clone();
    document["total_messages"] = json!(shown.session.messages);
    document["messages"] = messages.into();
    document["results"] = results.into();
    document["runs"] = runs.into();
    document
}

/// A document in one line that a terminal can show; `--json` has all of it.
fn shortened(text: &str) -> String {
    const LIMIT: usize = 400;
    if text.chars().count() <= LIMIT {
        return text.to_owned();
    }
    text.chars().take(LIMIT).chain(['…']).collect()
}

fn page(shown: &Shown, now: Timestamp) -> String {
    let session = &shown.session;
    let mut lines = vec![
        format!("session   {}", render::one_line(&session.session_id)),
        format!("used      {}", relative(session.used_at, now)),
        format!("revision  {}", session.revision),
        format!("state     {}", shortened(&shown.state.to_string())),
        format!("messages  {}", session.messages),
    ];
    for (message, content) in &shown.messages {
        let text = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
        let text = render::one_line(&text);
        lines.push(format!(
            "  {:>5}  {}  {:<9}  {text}",
            message.number, message.run_id, message.role
        ));
    }
    lines.push(format!("results   {}", shown.results.len()));
    for (kept, _) in &shown.results {
        let expires = match kept.expires_at {
            Some(at) => format!("expires {}", relative(at, now)),
            None => "never expires".to_owned(),
        };
        let (tool, key) = (render::one_line(&kept.tool), kept.input_digest.hex());
        lines.push(format!("  {tool}  {}  {}  {expires}", &key[..12], kept.run_id));
    }
    lines.push(format!("runs      {}", session.runs));
    for run in &shown.runs {
        let undone = if run.is_rolled_back { ", rolled back" } else { "" };
        let begun = relative(run.created_at, now);
        lines.push(format!("  {}  {}{undone}, created {begun}", run.run_id, run.status));
    }
    lines.join("\n")
}
