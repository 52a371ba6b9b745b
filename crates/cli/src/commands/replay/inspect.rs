//! `errand replay --policy inspect`: describes a replay.

use errand_api::story::{Story, StoryEvent};

use crate::context::Context;
use crate::failure::Failure;

/// Prints the description.
pub(super) fn show(context: &Context, story: &Story, as_json: bool) -> Result<u8, Failure> {
    if as_json {
        context.printer.json(story)?;
        return Ok(0);
    }
    let start = story.events.first().map(|told| told.at_ms);
    for told in &story.events {
        let since = start.map_or(0, |start| told.at_ms.since(start).as_millis());
        context.printer.line(&line(told, since))?;
    }
    context.printer.line("")?;
    let strict = match &story.strict.reason {
        None => "a strict replay serves and compares these; nothing is executed".to_owned(),
        Some(why) => format!("a strict replay is not possible: {why}"),
    };
    context.printer.line(&strict)?;
    if !story.effects.is_empty() {
        let calls: Vec<_> =
            story.effects.iter().map(|call| format!("{} ({})", call.tool, call.effect)).collect();
        let effects = format!(
            "a live replay has effects outside once more, and needs --allow-effects: {}",
            calls.join(", ")
        );
        context.printer.line(&effects)?;
    }
    Ok(0)
}

fn line(told: &StoryEvent, since_ms: u128) -> String {
    let seconds = since_ms / 1_000;
    let millis = since_ms % 1_000;
    let (seq, word) = (told.seq, told.replay.as_str());
    format!("{seq:>6}  +{seconds:>4}.{millis:03}s  {word:<8}  {}", told.text)
}
