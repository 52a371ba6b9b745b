//! `errand sessions show`: details of a session.

use errand_agent::Clock as _;
use errand_api::session::SessionDetail;
use errand_model::Timestamp;

use super::not_found;
use crate::context::Context;
use crate::failure::Failure;
use crate::moment::relative;
use crate::render;

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
    let shown = context.place()?.session(&args.session, args.last).await?;
    let shown = shown.ok_or_else(|| not_found(&args.session))?;
    if args.json {
        context.printer.json(&shown)?;
    } else {
        context.printer.line(&page(&shown, errand_agent::SystemClock.now()))?;
    }
    Ok(0)
}

/// Shortens a document to one line that fits a terminal; `--json` has all of it.
fn shortened(text: &str) -> String {
    const LIMIT: usize = 400;
    if text.chars().count() <= LIMIT {
        return text.to_owned();
    }
    text.chars().take(LIMIT).chain(['…']).collect()
}

fn page(shown: &SessionDetail, now: Timestamp) -> String {
    let mut lines = vec![
        format!("session   {}", render::one_line(&shown.session_id)),
        format!("used      {}", relative(shown.used_at_ms, now)),
        format!("revision  {}", shown.revision),
        format!("state     {}", shortened(&shown.state.to_string())),
        format!("messages  {}", shown.total_messages),
    ];
    for message in &shown.messages {
        let content = &message.content;
        let text = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
        let text = render::one_line(&text);
        lines.push(format!(
            "  {:>5}  {}  {:<9}  {text}",
            message.number, message.run_id, message.role
        ));
    }
    lines.push(format!("results   {}", shown.results.len()));
    for kept in &shown.results {
        let expires = match kept.expires_at_ms {
            Some(at) => format!("expires {}", relative(at, now)),
            None => "never expires".to_owned(),
        };
        let (tool, key) = (render::one_line(&kept.tool), kept.key.hex());
        lines.push(format!("  {tool}  {}  {}  {expires}", &key[..12], kept.run_id));
    }
    lines.push(format!("runs      {}", shown.total_runs));
    for run in &shown.runs {
        let undone = if run.rolled_back { ", rolled back" } else { "" };
        let begun = relative(run.created_at_ms, now);
        lines.push(format!("  {}  {}{undone}, created {begun}", run.run_id, run.status));
    }
    lines.join("\n")
}
