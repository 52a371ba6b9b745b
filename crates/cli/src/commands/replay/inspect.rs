//! `errand replay --policy inspect`.

use errand_engine::replay::{Narrative, Told};
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;

/// Tells what a replay would serve.
pub(super) fn show(context: &Context, story: &Narrative, as_json: bool) -> Result<u8, Failure> {
    if as_json {
        context.printer.json(&document(story))?;
        return Ok(0);
    }
    let start = story.told.first().map(|told| told.at);
    for told in &story.told {
        let since = start.map_or(0, |start| told.at.since(start).as_millis());
        context.printer.line(&line(told, since))?;
    }
    context.printer.line("")?;
    let strict = match &story.not_strict {
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

fn line(told: &Told, since_ms: u128) -> String {
    let seconds = since_ms / 1_000;
    let millis = since_ms % 1_000;
    let (seq, word) = (told.seq, told.then.word());
    format!("{seq:>6}  +{seconds:>4}.{millis:03}s  {word:<8}  {}", told.text)
}

fn document(story: &Narrative) -> serde_json::Value {
    let told: Vec<_> = story
        .told
        .iter()
        .map(|told| {
            json!({
                "seq": told.seq,
                "at_ms": told.at,
                "attempt": told.attempt,
                "replay": told.then.word(),
                "text": told.text,
            })
        })
        .collect();
    let effects: Vec<_> = story
        .effects
        .iter()
        .map(|call| json!({ "seq": call.seq, "tool": call.tool, "effect": call.effect }))
        .collect();
    json!({
        "schema": 1,
        "run_id": story.run_id,
        "policy": "inspect",
        "events": told,
        "effects": effects,
        "strict": { "possible": story.not_strict.is_none(), "reason": story.not_strict },
    })
}
