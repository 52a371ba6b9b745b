//! A tool call: which tool, with what, and what it could do to the world.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fields::Fields;
use super::{Cost, CostBasis, ModelCall};
use crate::{Digest, RunId, canonical};

/// Class of side effects that a tool call can have.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SideEffect {
    /// The tool only reads.
    ReadOnly,
    /// The tool writes in the run's workspace.
    LocalWrite,
    /// The tool writes elsewhere.
    ExternalWrite,
    /// The tool moves money.
    Financial,
    /// The tool communicates with people.
    Communication,
    /// The tool runs code.
    CodeExecution,
    /// The tool uses special rights.
    Privileged,
}

impl SideEffect {
    /// All classes, with their stored words.
    pub const ALL: [(&'static str, Self); 7] = [
        ("read_only", Self::ReadOnly),
        ("local_write", Self::LocalWrite),
        ("external_write", Self::ExternalWrite),
        ("financial", Self::Financial),
        ("communication", Self::Communication),
        ("code_execution", Self::CodeExecution),
        ("privileged", Self::Privileged),
    ];
}

impl FromStr for SideEffect {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().find(|(word, _)| *word == text).map(|(_, class)| *class).ok_or(())
    }
}

/// Counted part of a `tool.called` event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// Name of the tool, if reported.
    pub name: Option<String>,
    /// The step it belongs to, where the agent said.
    pub step: Option<String>,
    /// The agent inside of the run that made it, where the agent said.
    pub agent: Option<String>,
    /// The reservation that it settles.
    pub reservation_id: Option<String>,
    /// Cost as the agent reports it, in millionths of a US dollar; `None`: not reported.
    pub cost_micro_usd: Option<u64>,
}

/// The member that names a call, for receivers that do things once.
const IDEMPOTENCY_KEY: &str = "idempotency_key";

impl ToolCall {
    /// Reads one as it was kept. What is missing or makes no sense counts as nothing.
    pub fn of(data: &Value) -> Self {
        let fields = Fields::of(data);
        Self {
            name: fields.kept_name("name"),
            step: fields.kept_name("step"),
            agent: fields.kept_name("agent"),
            reservation_id: fields.kept_name("reservation_id"),
            cost_micro_usd: super::model_call::kept_cost(fields),
        }
    }

    /// Writes into the event of a checked call what the agent says that it cost: no price table
    /// knows tools.
    pub fn put_cost(data: &mut Value) {
        let said = super::model_call::said(Fields::of(data)).ok().flatten();
        let cost = said.map(|micro_usd| Cost { micro_usd, basis: CostBasis::Agent });
        ModelCall::put_cost(data, cost.as_ref());
    }

    /// The key of a call: equal for the same tool with the same arguments in the same step of the
    /// same run, in whichever attempt.
    pub fn idempotency_key(
        run_id: &RunId,
        step: Option<&str>,
        tool: &str,
        arguments: Option<&Value>,
    ) -> String {
        const CHARS: usize = 32;
        let same = json!({
            "run": run_id, "step": step, "tool": tool, "arguments": arguments,
        });
        let digest = Digest::of(canonical::to_string(&same).as_bytes());
        format!("idem_{}", &digest.hex()[..CHARS])
    }

    /// Writes the key into the event of a call, unless the agent has one of its own for it.
    pub fn put_idempotency_key(run_id: &RunId, data: &mut Value) {
        let call = Self::of(data);
        let Some(members) = data.as_object_mut() else { return };
        let (Some(tool), None | Some(Value::Null)) = (&call.name, members.get(IDEMPOTENCY_KEY))
        else {
            return;
        };
        let arguments = members.get("arguments");
        let key = Self::idempotency_key(run_id, call.step.as_deref(), tool, arguments);
        members.insert(IDEMPOTENCY_KEY.to_owned(), key.into());
    }
}
