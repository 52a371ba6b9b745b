//! `errand bom --diff`: differences between two bills of materials.

use errand_api::bom::{Diff, FieldChange, diff};
use errand_api::exit_code;
use serde_json::json;

use super::subject::{self, NamedInventory};
use crate::context::Context;
use crate::failure::Failure;
use crate::render::at_most;

/// Shown characters of a name or value.
const SHOWN_CHARS: usize = 200;
/// Shown hex digits of a digest.
const SHOWN_DIGITS: usize = 12;

/// Compares two; the exit code tells if they differ, as that of `diff`.
pub(super) async fn run(
    context: &Context,
    (from, to): (&str, &str),
    json: bool,
) -> Result<u8, Failure> {
    let from = subject::find(context, from, None).await?;
    let to = subject::find(context, to, None).await?;
    let found = diff(&from.document, &to.document);
    if json {
        context.printer.json(&json!({
            "schema": 1, "from": side(&from), "to": side(&to),
            "added": found.added, "removed": found.removed, "changed": found.changed,
        }))?;
    } else {
        context.printer.bytes(text(&from, &to, &found).as_bytes())?;
    }
    Ok(if found.is_empty() { exit_code::SUCCESS } else { exit_code::REJECTED })
}

fn side(found: &NamedInventory) -> serde_json::Value {
    json!({ "name": found.name, "generation": found.generation, "digest": found.digest })
}

fn text(from: &NamedInventory, to: &NamedInventory, diff: &Diff) -> String {
    let mut lines = vec![
        format!("--- {}  {}", from.name, from.digest),
        format!("+++ {}  {}", to.name, to.digest),
    ];
    let names = diff.added.iter().chain(&diff.removed).map(|item| &item.reference);
    let names = names.chain(diff.changed.iter().map(|change| &change.reference));
    let width = names.map(|name| shown(name).chars().count()).max().unwrap_or(0);
    for item in &diff.removed {
        lines.push(format!("- {:<width$}  {}", shown(&item.reference), short(&item.digest)));
    }
    for item in &diff.added {
        lines.push(format!("+ {:<width$}  {}", shown(&item.reference), short(&item.digest)));
    }
    for change in &diff.changed {
        let (old, new) = (short(&change.from), short(&change.to));
        let digests = if old == new { old.to_owned() } else { format!("{old} -> {new}") };
        lines.push(format!("~ {:<width$}  {digests}", shown(&change.reference)));
        lines.extend(change.fields.iter().map(field));
    }
    lines.push(match (diff.added.len(), diff.removed.len(), diff.changed.len()) {
        (0, 0, 0) => "no difference".to_owned(),
        (added, removed, changed) => {
            format!("{added} added, {removed} removed, {changed} changed")
        }
    });
    lines.join("\n") + "\n"
}

fn field(field: &FieldChange) -> String {
    let value = |value: &Option<String>| match value {
        Some(value) => short(&shown(value)).to_owned(),
        None => "(not set)".to_owned(),
    };
    format!("    {}: {} -> {}", field.name, value(&field.from), value(&field.to))
}

/// Shortens a digest for people; returns any other text unchanged.
fn short(text: &str) -> &str {
    if text.starts_with("sha256:") {
        text.get(..SHOWN_DIGITS + "sha256:".len()).unwrap_or(text)
    } else {
        text
    }
}

fn shown(text: &str) -> String {
    at_most(text, SHOWN_CHARS)
}
