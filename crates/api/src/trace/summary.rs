//! Dominant spans of a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Span, SpanKind};

/// Largest spans by time, tokens and cost. Repeated work counts together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TraceSummary")]
pub struct Summary {
    /// The whole run, from its admission to its end.
    pub duration_ms: u64,
    /// The work that took longest.
    pub longest: Option<Share>,
    /// The work with the most tokens.
    pub most_tokens: Option<Share>,
    /// The work that cost most, in millionths of a US dollar.
    pub most_expensive: Option<Share>,
    /// The kind of wait that took longest.
    pub longest_wait: Option<Share>,
}

/// A part of a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TraceShare")]
pub struct Share {
    /// Name: `step build`, `model openai/gpt-4o-mini`, `model call 2 (openai/gpt-4o-mini)` for one that
    /// came through errand.
    pub name: String,
    /// Amount: milliseconds, tokens or millionths of a US dollar.
    pub amount: u64,
    /// Share of the whole; more than 100 where work was parallel.
    pub percent: u64,
}

#[derive(Default)]
struct Sums {
    work: BTreeMap<String, (u64, u64, u64)>,
    waits: BTreeMap<String, u64>,
}

pub(super) fn of(run: &Span) -> Summary {
    let mut sums = Sums::default();
    sums.add(run, false);
    let total = millis(run);
    let largest = |of: fn(&(u64, u64, u64)) -> u64, total: u64| {
        let amounts = sums.work.iter().map(|(name, amounts)| (name, of(amounts)));
        share(amounts, total)
    };
    let tokens = sums.work.values().map(|amounts| amounts.1).sum();
    let cost = sums.work.values().map(|amounts| amounts.2).sum();
    Summary {
        duration_ms: total,
        longest: largest(|amounts| amounts.0, total),
        most_tokens: largest(|amounts| amounts.1, tokens),
        most_expensive: largest(|amounts| amounts.2, cost),
        longest_wait: share(sums.waits.iter().map(|(name, ms)| (name, *ms)), total),
    }
}

fn share<'a>(amounts: impl Iterator<Item = (&'a String, u64)>, total: u64) -> Option<Share> {
    let (name, amount) = amounts.max_by_key(|(_, amount)| *amount)?;
    let percent = (amount.saturating_mul(100) + total / 2).checked_div(total)?;
    (amount > 0).then(|| Share { name: name.clone(), amount, percent })
}

impl Sums {
    /// Adds what is at the leaves of the tree as people see it: steps, and calls that are in none.
    fn add(&mut self, span: &Span, in_step: bool) {
        let word = match span.kind {
            SpanKind::Step => Some("step"),
            SpanKind::ModelCall if !in_step => Some("model"),
            SpanKind::ToolCall if !in_step => Some("tool"),
            SpanKind::Call if !in_step => Some("call"),
            SpanKind::ChildRun => Some(""),
            SpanKind::Wait => {
                let name = span.name.split(':').next().unwrap_or_default();
                *self.waits.entry(name.to_owned()).or_default() += millis(span);
                None
            }
            SpanKind::ModelCall
            | SpanKind::ToolCall
            | SpanKind::Call
            | SpanKind::Run
            | SpanKind::Attempt
            | SpanKind::Inherited => None,
        };
        if let Some(word) = word {
            let name = match &span.call {
                Some(call) => call.title(),
                None => format!("{word} {}", span.name).trim().to_owned(),
            };
            let sum = self.work.entry(name).or_default();
            sum.0 = sum.0.saturating_add(millis(span));
            sum.1 = sum.1.saturating_add(span.usage.tokens());
            sum.2 = sum.2.saturating_add(span.usage.cost_micro_usd.unwrap_or(0));
        }
        // What a run does that this one started is told as one.
        let within: &[Span] = if span.kind == SpanKind::ChildRun { &[] } else { &span.children };
        for child in within {
            self.add(child, in_step || span.kind == SpanKind::Step);
        }
    }
}

fn millis(span: &Span) -> u64 {
    u64::try_from(span.duration().as_millis()).unwrap_or(u64::MAX)
}
