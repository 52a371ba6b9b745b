//! Policies about the calls of an agent, before the calls are made.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use errand_agent::agent_api::{
    AnsweredModel, AnsweredTool, ApprovalCall, AskedModel, BodyCheck, CalledTool, EgressTarget,
    Refusal, Terms,
};
use errand_api::agent_file::{Agent, McpHolding, PolicyRules};
use errand_api::agent_protocol::{Reserve, ReserveKind, SendMessage};
use errand_api::error_code::ErrorCode;
use errand_model::budget::BudgetScope;
use errand_model::event::{ApprovalVerdict, EventBody};
use errand_model::replay::{ComparedRequest, RequestDifference};
use errand_model::run::Run;
use errand_model::{Digest, Payload};
use errand_policy::{PolicyCall, PolicyHook, PolicyVerdict};
use serde_json::{Value, json};

use super::{AttemptBackend, refusal};
use crate::admit::is_strict;
use crate::policy::{DecidedCall, RunPolicies};

/// Longest time for which a request waits for a person's decision.
const WAIT_FOR_PERSON: Duration = Duration::from_secs(25);

/// Characters of a call's arguments in the summary of an approval: a line of a list. All of them are in
/// the event `policy.decided`.
const SUMMARY_CHARS: usize = 200;

/// Policies of a run, compiled when the first call is decided about.
#[derive(Debug)]
pub(super) struct CallPolicies {
    /// Rules of the agent file.
    rules: Option<PolicyRules>,
    /// False if the agent has neither policies nor rules of its own.
    has_any: bool,
    /// Tools that the agent has by itself.
    own_tools: Vec<String>,
    /// Further hooks of calls, by the names of tool servers.
    holdings: BTreeMap<String, PolicyHook>,
    compiled: OnceLock<RunPolicies>,
}

impl CallPolicies {
    pub(super) fn of(agent: &Agent) -> Self {
        let has_any = agent.policy.is_some() || !agent.policies.is_empty();
        let own_tools = agent.tools.iter().map(|tool| tool.name.clone()).collect();
        let holdings = agent.mcp_servers.iter().filter_map(|server| {
            let hook = match server.holds? {
                McpHolding::Memory => PolicyHook::OnMemory,
                McpHolding::Knowledge => PolicyHook::OnKnowledge,
            };
            Some((server.name.clone(), hook))
        });
        Self {
            rules: agent.policy.clone(),
            has_any,
            own_tools,
            holdings: holdings.collect(),
            compiled: OnceLock::new(),
        }
    }
}

impl AttemptBackend {
    /// Asks the policies about a call that the agent is to make. Returns the arguments as a policy
    /// changed them, if one did.
    pub(super) async fn permit_call(
        &self,
        call: &Reserve,
        tool: Option<&CalledTool>,
    ) -> Result<Option<Value>, Refusal> {
        match call.kind {
            ReserveKind::Tool => {
                let asked = |arguments: Option<&Value>| tool_facts(call, tool, arguments);
                let changed =
                    self.permit(PolicyHook::BeforeTool, || asked(call.arguments.as_ref())).await?;
                let hook = tool.and_then(|tool| self.policies.holdings.get(&tool.server));
                let Some(hook) = hook else { return Ok(changed) };
                let arguments = changed.as_ref().or(call.arguments.as_ref());
                Ok(self.permit(*hook, || asked(arguments)).await?.or(changed))
            }
            ReserveKind::Model => {
                let unknown = |_: &Value| {
                    Err("the agent makes this call by itself, and its request is not known"
                        .to_owned())
                };
                let asked = || {
                    let (names, facts) = model_facts(call);
                    AskedCall { check: Some(BodyCheck(&unknown)), ..AskedCall::of(names, facts) }
                };
                self.permit(PolicyHook::BeforeModel, asked).await.map(drop)?;
                Ok(None)
            }
        }
    }

    /// Asks the policies about a request to a model. Returns the body in its place, if a policy
    /// changed it.
    pub(super) async fn permit_model_request(
        &self,
        asked: AskedModel<'_>,
    ) -> Result<Option<Value>, Refusal> {
        let AskedModel { key, reserve, format, digest, request, check } = asked;
        let asked = || {
            let (names, mut facts) = model_facts(reserve);
            facts["format"] = format.into();
            facts["step"] = key.into();
            facts["request"] = json!(request);
            facts["request_digest"] = json!(digest);
            AskedCall { digest: Some(digest), check: Some(check), ..AskedCall::of(names, facts) }
        };
        self.permit(PolicyHook::BeforeModel, asked).await
    }

    /// Asks the policies about a message to another agent.
    pub(super) async fn permit_message(&self, message: &SendMessage) -> Result<(), Refusal> {
        let asked = || {
            let call = json!({
                "to": message.to, "type": message.kind, "payload": message.payload,
            });
            AskedCall::of([message.to.clone()], call)
        };
        self.permit(PolicyHook::OnMessage, asked).await.map(drop)
    }

    /// Asks the policies about an artifact.
    pub(super) async fn permit_artifact(
        &self,
        name: &str,
        media_type: Option<&str>,
    ) -> Result<(), Refusal> {
        let asked = || {
            let call = json!({ "name": name, "media_type": media_type });
            AskedCall::of([name.to_owned()], call)
        };
        self.permit(PolicyHook::OnArtifact, asked).await.map(drop)
    }

    /// Asks the policies about the result of a tool. Returns the result in its place, if a policy
    /// changed it.
    pub(super) async fn permit_tool_result(
        &self,
        answered: AnsweredTool<'_>,
    ) -> Result<Option<Value>, Refusal> {
        let AnsweredTool { key, tool, arguments, result } = answered;
        let asked = || {
            let facts = json!({
                "server": tool.server, "name": tool.name, "arguments": arguments, "step": key,
                "result": result,
            });
            AskedCall::of([tool.offered.clone(), tool.name.clone()], facts)
        };
        self.permit(PolicyHook::AfterTool, asked).await
    }

    /// Asks the policies about the answer of a model. Returns the body in its place, if a policy changed
    /// it.
    pub(super) async fn permit_model_answer(
        &self,
        answered: AnsweredModel<'_>,
    ) -> Result<Option<Value>, Refusal> {
        let AnsweredModel { key, provider, model, result, response, check } = answered;
        let model = model.unwrap_or_default();
        let asked = || {
            let facts = json!({
                "provider": provider, "model": model, "step": key, "result": result,
                "response": response,
            });
            let names = [model.to_owned(), format!("{provider}/{model}")];
            AskedCall { check: Some(check), ..AskedCall::of(names, facts) }
        };
        self.permit(PolicyHook::AfterModel, asked).await
    }

    /// Asks the policies about a connection to a host.
    pub(super) async fn permit_egress(&self, to: &EgressTarget) -> Result<(), Refusal> {
        let asked = || {
            let facts = json!({ "host": to.host, "port": to.port, "kind": to.kind.as_str() });
            AskedCall::of([format!("{}:{}", to.host, to.port)], facts)
        };
        self.permit(PolicyHook::OnEgress, asked).await.map(drop)
    }

    /// Returns true if policies decide about answers of models. Policies that cannot be read do.
    pub(super) fn decides_about_answers(&self) -> bool {
        self.policies().map_or(true, |policies| policies.decide_at(PolicyHook::AfterModel))
    }

    /// Returns true if policies look into requests to models. Policies that cannot be read do.
    pub(super) fn looks_into_requests(&self) -> bool {
        self.policies().map_or(true, RunPolicies::see_requests)
    }

    /// Returns the time for which a call waits for a person, before its agent is ended until the
    /// decision.
    pub(super) fn patience(&self, usual: Duration) -> Result<Duration, Refusal> {
        Ok(self.policies()?.park_after().unwrap_or(usual))
    }

    /// Asks the policies about a call. Returns the payload as a policy changed it, if one did.
    ///
    /// `asked` is made only if a policy decides about such calls, since a call may be large.
    async fn permit<'a>(
        &self,
        hook: PolicyHook,
        asked: impl FnOnce() -> AskedCall<'a> + Send,
    ) -> Result<Option<Value>, Refusal> {
        let policies = self.policies()?;
        if !policies.decide_at(hook) {
            return Ok(None);
        }
        let AskedCall { names, call, digest, check } = asked();
        let facts = self.journal.look(|run, _| facts_of(run));
        let subject = names.first().cloned().unwrap_or_default();
        let asked = PolicyCall::new(hook, names, call.clone(), &facts);
        let mut decided = policies.decide(asked).await;
        decided.check_change(hook, &call, check.map(|check| check.0));
        decided.note_call(&self.kept(Payload::Json(self.noted(hook, &call, &decided)))?);
        decided.mask_reasons(|reason| self.masked_text(reason));
        if decided.decision.verdict == PolicyVerdict::Ask {
            self.ask_about(hook, (&subject, digest), &call, decided.clone()).await?;
        } else {
            self.record(decided.clone()).await?;
        }
        match decided.denied() {
            Some(denied) => Err(denial(denied.to_string())),
            None => Ok(decided.changed().cloned()),
        }
    }

    /// Returns a call as its decision keeps it. A request to a model repeats what was said before, and
    /// is recorded with the call as it is sent: it is kept here if it is not, or a person has to read
    /// it. An answer is recorded with its step.
    fn noted(&self, hook: PolicyHook, call: &Value, decided: &DecidedCall) -> Value {
        let mut noted = call.clone();
        let Some(member) = hook.replaces().filter(|it| call.get(it).is_some_and(Value::is_object))
        else {
            return noted;
        };
        let is_large = match hook {
            PolicyHook::BeforeModel | PolicyHook::AfterModel => true,
            PolicyHook::AgentTrigger
            | PolicyHook::BeforeTool
            | PolicyHook::AfterTool
            | PolicyHook::OnMemory
            | PolicyHook::OnKnowledge
            | PolicyHook::OnMessage
            | PolicyHook::OnArtifact
            | PolicyHook::OnReplay
            | PolicyHook::OnEgress => false,
        };
        let is_kept = match decided.decision.verdict {
            PolicyVerdict::Ask | PolicyVerdict::Deny => true,
            PolicyVerdict::Allow | PolicyVerdict::Modify => false,
        };
        if !is_large || is_kept {
            return noted;
        }
        noted[member] = Value::Null;
        if let Some(changed) = decided.changed() {
            let side = |body: &Value| ComparedRequest {
                head: String::new(),
                body: self.masked_json(body.clone()),
            };
            let RequestDifference { path, diff, .. } =
                RequestDifference::of(&side(&call[member]), &side(changed));
            // Without the line of each side: there are no others that it would be told from.
            let lines = diff.lines().skip(2).map(|line| format!("{line}\n"));
            noted["change"] = json!({ "path": path, "diff": lines.collect::<String>() });
        }
        noted
    }

    /// Asks a person about a call, once for the same call.
    async fn ask_about(
        &self,
        hook: PolicyHook,
        (subject, digest): (&str, Option<&Digest>),
        call: &Value,
        decided: DecidedCall,
    ) -> Result<(), Refusal> {
        let whole = || {
            let call = errand_model::canonical::to_string(&self.masked_json(call.clone()));
            Digest::of(call.as_bytes())
        };
        // Masked before it is cut, so that no part of a secret is left.
        let arguments = self.masked_json(said_in(call).clone());
        let asked = ApprovalCall {
            action: hook.as_str().to_owned(),
            target: subject.to_owned(),
            summary: summary_of(&arguments, decided.decision.reason.as_deref()),
            digest: Some(digest.cloned().unwrap_or_else(whole)),
            default: None,
            terms: Terms {
                step: call["step"].as_str().map(str::to_owned),
                key: Some(decided.policy.clone()),
                timeout: None,
                park: false,
                wait: WAIT_FOR_PERSON,
            },
        };
        let id = self.asked_approval(&asked, str::to_owned).approval_id;
        let policy = decided.policy.clone();
        if !self.journal.look(|run, _| run.approvals.contains_key(&id)) {
            self.record(decided).await?;
        }
        let answer = self.approval(asked).await?;
        match answer.decision {
            Some(ApprovalVerdict::Approve) => Ok(()),
            Some(ApprovalVerdict::Reject) => {
                let by = answer.decided_by.unwrap_or_else(|| "nobody".to_owned());
                let comment = answer.comment.map(|text| format!(": {text}")).unwrap_or_default();
                Err(denial(format!("the policy {policy} asked, and {by} rejected it{comment}")))
            }
            None => {
                let message = format!("the policy {policy} asks a person, who has not decided yet");
                Err(Refusal::new(409, ErrorCode::ApprovalPending, message).with_hint(format!(
                    "ask again; `errand approve {}` decides",
                    self.journal.run_id()
                )))
            }
        }
    }

    /// Records what the policies said.
    async fn record(&self, decided: DecidedCall) -> Result<(), Refusal> {
        let entries = decided.entries.into_iter().map(EventBody::PolicyDecided);
        self.report_all(entries.collect()).await
    }

    /// Returns the names of the tools that the agent has by itself.
    pub(super) fn own_tools(&self) -> &[String] {
        &self.policies.own_tools
    }

    /// Returns the policies of the run; none for a strict replay, which calls nothing.
    pub(super) fn policies(&self) -> Result<&RunPolicies, Refusal> {
        if let Some(policies) = self.policies.compiled.get() {
            return Ok(policies);
        }
        let pins = self.journal.look(|run, _| {
            let decides = self.policies.has_any && !is_strict(run);
            decides.then(|| run.spec.catalog.clone())
        });
        let policies = match pins {
            Some(pins) => RunPolicies::of(&self.engine, self.policies.rules.as_ref(), &pins)
                .map_err(|error| refusal(&error.into()))?,
            None => RunPolicies::default(),
        };
        Ok(self.policies.compiled.get_or_init(|| policies))
    }
}

/// A call that policies are asked about.
struct AskedCall<'a> {
    /// Names of what is called.
    names: Vec<String>,
    call: Value,
    /// Digest by which an approval is for this call; `None`: that of the call.
    digest: Option<&'a Digest>,
    /// Check of a changed payload.
    check: Option<BodyCheck<'a>>,
}

impl AskedCall<'_> {
    fn of(names: impl IntoIterator<Item = String>, call: Value) -> Self {
        Self { names: names.into_iter().collect(), call, digest: None, check: None }
    }
}

/// Returns a tool call, with the arguments as a policy left them.
fn tool_facts<'a>(
    call: &Reserve,
    tool: Option<&CalledTool>,
    arguments: Option<&Value>,
) -> AskedCall<'a> {
    let name = call.tool.clone().unwrap_or_default();
    let facts = json!({
        "server": tool.map(|tool| &tool.server), "name": tool.map_or(&name, |tool| &tool.name),
        "arguments": arguments, "step": call.step, "cost_usd": call.cost_usd,
    });
    let on_server = tool.map(|tool| tool.name.clone());
    AskedCall::of([name].into_iter().chain(on_server), facts)
}

/// Returns the names and the facts of a model call.
fn model_facts(call: &Reserve) -> (Vec<String>, Value) {
    let model = call.model.clone().unwrap_or_default();
    let whole = call.provider.as_ref().map(|provider| format!("{provider}/{model}"));
    let facts = json!({
        "provider": call.provider, "model": model, "tokens": call.tokens,
        "output_tokens": call.output_tokens, "cost_usd": call.cost_usd, "step": call.step,
    });
    ([model].into_iter().chain(whole).collect(), facts)
}

/// Returns the part of a call by which a person knows it: the arguments of a tool, or the last message
/// of a request to a model.
fn said_in(call: &Value) -> &Value {
    let request = &call["request"];
    let last =
        ["messages", "input", "contents"].into_iter().find_map(|name| match &request[name] {
            Value::Array(messages) => messages.last(),
            text @ Value::String(_) => Some(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
        });
    last.unwrap_or(&call["arguments"])
}

/// Returns the line by which a person knows a call, and why the person is asked.
fn summary_of(arguments: &Value, reason: Option<&str>) -> Option<String> {
    if arguments.is_null() {
        return reason.map(str::to_owned);
    }
    let whole = arguments.to_string();
    let mut line: String = whole.chars().take(SUMMARY_CHARS).collect();
    if line.len() < whole.len() {
        line.push('…');
    }
    Some(match reason {
        Some(reason) => format!("{line}: {reason}"),
        None => line,
    })
}

fn denial(message: String) -> Refusal {
    Refusal::new(403, ErrorCode::PolicyDenied, message)
}

/// Returns the facts of a run that programs of policies see.
fn facts_of(run: &Run) -> Value {
    let spec = &run.spec;
    let caps = run.caps(BudgetScope::Run);
    let spent = run.spent(run.created_at);
    let left = |cap: Option<u64>, spent: u64| cap.map(|cap| cap.saturating_sub(spent));
    json!({
        "run": {
            "id": run.id, "kind": spec.kind, "name": spec.name, "labels": spec.labels,
            "session_id": spec.session_id, "namespace": spec.namespace,
            "attempt": run.last_attempt_number(), "trigger": spec.trigger,
        },
        "agent": { "name": spec.agent.name, "version": spec.agent.version },
        "caller": spec.by,
        "budget": {
            "tokens_left": left(caps.tokens, spent.tokens),
            "cost_micro_usd_left": left(caps.cost_micro_usd, spent.cost_micro_usd),
            "tool_calls_left": left(caps.tool_calls, spent.tool_calls),
        },
        "so_far": {
            "steps": run.counters.steps, "model_calls": run.counters.model_calls,
            "tool_calls": run.counters.tool_calls, "approvals": run.counters.approvals,
            "tokens": spent.tokens, "cost_micro_usd": spent.cost_micro_usd,
            "tools": run.calls.tools, "side_effects": run.calls.side_effects,
            "labels": run.calls.labels,
        },
    })
}
