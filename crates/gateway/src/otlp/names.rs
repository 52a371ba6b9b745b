//! Names of spans and attributes: OpenTelemetry semantic conventions 1.41, and our own below
//! `errand.` for the rest.

/// Schema of the conventions.
pub(super) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.41.0";

pub(super) const SERVICE_NAME: &str = "service.name";
pub(super) const SERVICE_VERSION: &str = "service.version";
pub(super) const SERVICE_INSTANCE_ID: &str = "service.instance.id";
pub(super) const ERROR_TYPE: &str = "error.type";

pub(super) const OPERATION: &str = "gen_ai.operation.name";
pub(super) const INVOKE_AGENT: &str = "invoke_agent";
pub(super) const CHAT: &str = "chat";
pub(super) const EXECUTE_TOOL: &str = "execute_tool";
pub(super) const PROVIDER: &str = "gen_ai.provider.name";
pub(super) const AGENT_NAME: &str = "gen_ai.agent.name";
pub(super) const AGENT_ID: &str = "gen_ai.agent.id";
pub(super) const AGENT_VERSION: &str = "gen_ai.agent.version";
pub(super) const CONVERSATION: &str = "gen_ai.conversation.id";
pub(super) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(super) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(super) const CACHED_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
pub(super) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub(super) const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
pub(super) const TOOL_NAME: &str = "gen_ai.tool.name";
pub(super) const TOOL_TYPE: &str = "gen_ai.tool.type";
pub(super) const FUNCTION: &str = "function";

pub(super) const RUN_ID: &str = "errand.run.id";
pub(super) const RUN_NAME: &str = "errand.run.name";
pub(super) const RUN_KIND: &str = "errand.run.kind";
pub(super) const RUN_STATUS: &str = "errand.run.status";
pub(super) const NAMESPACE: &str = "errand.namespace";
pub(super) const TRIGGER: &str = "errand.trigger.type";
pub(super) const ATTEMPT: &str = "errand.attempt.number";
pub(super) const ATTEMPT_REASON: &str = "errand.attempt.reason";
pub(super) const STEP_KEY: &str = "errand.step.key";
pub(super) const STEP_KIND: &str = "errand.step.kind";
pub(super) const COST: &str = "errand.cost.micro_usd";
/// Number of spans that a trace left out.
pub(super) const OMITTED: &str = "errand.spans.omitted";
