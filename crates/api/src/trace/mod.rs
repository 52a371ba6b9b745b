//! Timeline of a run: a tree of spans on one axis.
//!
//! Pure: events go in one after another, the tree comes out. The caller decides how to draw it.
//! Deliberately absent: spans of work that an agent does not report.

mod build;
mod call;
mod event;
mod nest;
mod shorten;
mod summary;

use std::time::Duration;

use errand_model::event::{ChildUsage, ReplayDiverged};
use errand_model::run::Run;
use errand_model::{RunId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use build::TraceBuilder;
pub use call::TracedCall;
pub use nest::{Nested, TracePosition};
pub use summary::{Share, Summary};

/// The version of the shape that is printed as JSON.
pub const TRACE_SCHEMA: u32 = 1;

/// A run on a time axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// [`TRACE_SCHEMA`].
    pub schema: u32,
    /// The run.
    #[schemars(with = "String")]
    pub run_id: RunId,
    /// Its status.
    pub status: String,
    /// True if it is live: open spans then end at the time of the look.
    pub is_live: bool,
    /// Dominant spans.
    pub summary: Summary,
    /// First difference of a strict replay from the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub divergence: Option<ReplayDiverged>,
    /// The run itself; everything else is below it.
    pub run: Span,
}

/// Something that took time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TraceSpan")]
pub struct Span {
    /// Kind of the span.
    pub kind: SpanKind,
    /// Name of the span.
    pub name: String,
    /// The run that it is, for one that this one started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub run_id: Option<RunId>,
    /// More about it, for people: why an attempt was made, what a step executes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Call that the step consists of, for a step that errand made of a model or tool call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<TracedCall>,
    /// Start.
    #[serde(rename = "started_at_ms")]
    #[schemars(with = "i64")]
    pub from: Timestamp,
    /// End, or the latest time.
    #[serde(rename = "ended_at_ms")]
    #[schemars(with = "i64")]
    pub to: Timestamp,
    /// Outcome.
    pub outcome: TraceOutcome,
    /// Error, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Tokens and money of all model calls in it.
    pub usage: TraceUsage,
    /// Spans in it, by start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Self>,
    /// Spans in it that are not listed.
    #[serde(default, skip_serializing_if = "SpanSummary::is_empty")]
    pub rest: SpanSummary,
}

impl Span {
    /// Returns the duration, or the duration so far.
    pub fn duration(&self) -> Duration {
        self.to.since(self.from)
    }
}

/// Kind of a span.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SpanKind {
    /// The whole run.
    Run,
    /// An attempt.
    Attempt,
    /// A step, from its beginning to its end or failure: a step that is begun again has several.
    Step,
    /// A model call, or a try of one after which another model was called.
    ModelCall,
    /// A tool call.
    ToolCall,
    /// Anything else that the agent reported with a duration.
    Call,
    /// A run that this one started.
    ChildRun,
    /// Time in which nothing could be done: for a worker, a delay, a person.
    Wait,
    /// Steps that were done in another run.
    Inherited,
}

/// Outcome of a span.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "SpanOutcome")]
pub enum TraceOutcome {
    /// Completed.
    Ok,
    /// Failed, or rejected.
    Failed,
    /// Stopped from outside, or by the end of the span around it.
    Stopped,
    /// Still open.
    Open,
}

/// Tokens and money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TraceUsage")]
pub struct TraceUsage {
    /// Model calls.
    pub model_calls: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Known cost in millionths of a US dollar; `null`: none is known.
    pub cost_micro_usd: Option<u64>,
}

impl TraceUsage {
    /// Tokens in and out.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// Returns the usage of a child, with all runs that it started.
    pub(crate) fn of_child(used: &ChildUsage) -> Self {
        let mut all = Self::default();
        for agent in used.by_agent.values() {
            all.add(&Self {
                model_calls: agent.model_calls,
                input_tokens: agent.tokens.input_tokens,
                output_tokens: agent.tokens.output_tokens,
                cost_micro_usd: agent.tokens.cost_micro_usd,
            });
        }
        all
    }

    /// Returns the usage of a run so far.
    pub(crate) fn of_run(run: &Run) -> Self {
        Self {
            model_calls: run.counters.model_calls,
            input_tokens: run.usage.input_tokens,
            output_tokens: run.usage.output_tokens,
            cost_micro_usd: run.usage.cost_micro_usd,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.model_calls = self.model_calls.saturating_add(other.model_calls);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        if let Some(cost) = other.cost_micro_usd {
            self.cost_micro_usd = Some(self.cost_micro_usd.unwrap_or(0).saturating_add(cost));
        }
    }
}

/// Spans that are only summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TraceRest")]
pub struct SpanSummary {
    /// Number of spans, at any depth.
    pub spans: u64,
    /// Number of failed ones.
    pub failed: u64,
    /// The durations of those that are in no other of them, added up.
    pub duration_ms: u64,
    /// Usage of all of them.
    pub usage: TraceUsage,
}

impl SpanSummary {
    /// Returns true if every span is listed.
    pub const fn is_empty(&self) -> bool {
        self.spans == 0
    }

    /// Adds a span with all that is in it, of which nothing is listed.
    fn add(&mut self, span: &Span) {
        let millis = u64::try_from(span.duration().as_millis()).unwrap_or(u64::MAX);
        self.spans += 1 + span.rest.spans;
        self.failed += u64::from(span.outcome == TraceOutcome::Failed) + span.rest.failed;
        self.duration_ms = self.duration_ms.saturating_add(millis);
        self.usage.add(&span.usage);
    }
}
