//! Decisions by a program in Rego.

use std::num::NonZeroU32;
use std::time::Duration;

use regorus::Engine;
use regorus::utils::limits::ExecutionTimerConfig;
use serde_json::Value;
use thiserror::Error;

use crate::call::PolicyCall;
use crate::decision::{PolicyDecision, PolicyVerdict};

/// Time limit of one evaluation.
pub const TIME_LIMIT: Duration = Duration::from_millis(250);

/// Steps of the interpreter between two looks at the time.
const LOOK_EVERY: NonZeroU32 = NonZeroU32::new(64).unwrap();

/// Package of every policy.
const PACKAGE: &str = "data.errand";

/// Rules of the package that decide: a decision, or a set of reasons to deny.
const DECISION: &str = "data.errand.decision";
const DENY: &str = "data.errand.deny";

/// Error: the program is not valid Rego, or has no rule that decides.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct RegoInvalid {
    /// Line of the program, from 1, if it is known.
    pub line: Option<u32>,
    /// For people.
    pub message: String,
}

/// A compiled program.
#[derive(Clone, Debug)]
pub(crate) struct RegoProgram {
    engine: Engine,
    /// Rule that decides.
    entry: &'static str,
}

impl RegoProgram {
    /// Compiles a program.
    pub(crate) fn compile(name: &str, text: &str) -> Result<Self, RegoInvalid> {
        let mut engine = Engine::new();
        engine.set_rego_v0(false);
        engine.set_strict_builtin_errors(true);
        engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: TIME_LIMIT,
            check_interval: LOOK_EVERY,
        });
        let file = format!("{name}.rego");
        let package = engine.add_policy(file, text.to_owned()).map_err(|error| invalid(&error))?;
        if package != PACKAGE {
            let message = format!("the package is {package:?}: write `package errand`");
            return Err(RegoInvalid { line: Some(1), message });
        }
        let mut program = Self { engine, entry: DECISION };
        // Errors that the parser does not see, such as unsafe variables, and a missing rule.
        let probe = |program: &Self| program.value(&Value::Object(serde_json::Map::new()));
        match probe(&program) {
            Ok(_) => Ok(program),
            Err(error) if error.contains("not a valid rule path") => {
                program.entry = DENY;
                match probe(&program) {
                    Err(error) if error.contains("not a valid rule path") => {
                        let message = "the program has neither a rule `decision` nor a set `deny`";
                        Err(RegoInvalid { line: None, message: message.to_owned() })
                    }
                    _ => Ok(program),
                }
            }
            Err(error) if error.contains("could not find function") => Err(invalid(&error)),
            // An empty input may be an error for a builtin function.
            Err(_) => Ok(program),
        }
    }

    /// Decides about a call. A program that fails or takes too long denies.
    pub(crate) fn decide(&self, call: &PolicyCall) -> PolicyDecision {
        match self.value(&call.input) {
            Ok(value) if self.entry == DENY => by_reasons(&value),
            Ok(value) => PolicyDecision::of_document(&value, call.hook),
            Err(error) => PolicyDecision::of(
                PolicyVerdict::Deny,
                format!("the policy could not decide: {}", first_line(&error)),
            ),
        }
    }

    /// Evaluates the program. `null` if no rule applies.
    fn value(&self, input: &Value) -> Result<Value, String> {
        let mut engine = self.engine.clone();
        engine.set_input(regorus::Value::from(input.clone()));
        let value = engine.eval_rule(self.entry.to_owned()).map_err(|error| error.to_string())?;
        if value == regorus::Value::Undefined {
            return Ok(Value::Null);
        }
        serde_json::to_value(&value).map_err(|error| error.to_string())
    }
}

/// Reads a set of reasons: any of them denies.
fn by_reasons(value: &Value) -> PolicyDecision {
    let reasons: Vec<String> = match value {
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect(),
        Value::Bool(true) => vec!["the policy denies it".to_owned()],
        Value::Null
        | Value::Bool(false)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_) => Vec::new(),
    };
    if reasons.is_empty() {
        return PolicyDecision::ALLOWED;
    }
    PolicyDecision::of(PolicyVerdict::Deny, reasons.join("; "))
}

fn first_line(text: &str) -> &str {
    text.lines()
        .map(str::trim)
        .rfind(|line| line.starts_with("error:"))
        .unwrap_or_else(|| text.lines().next().unwrap_or_default())
}

/// Reads the place of an error out of the message of the crate: `--> name.rego:3:5`.
fn invalid(error: &impl std::fmt::Display) -> RegoInvalid {
    let text = error.to_string();
    let place = text.split("--> ").nth(1).and_then(|rest| rest.lines().next());
    let line = place.and_then(|place| place.split(':').nth(1)).and_then(|line| line.parse().ok());
    RegoInvalid { line, message: first_line(&text).to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::PolicyHook;

    fn decide(program: &str, call: Value) -> PolicyDecision {
        let program = RegoProgram::compile("p", program).unwrap();
        let facts = json!({ "budget": { "cost_usd_left": 0.5 } });
        program.decide(&PolicyCall::new(PolicyHook::BeforeTool, vec![], call, &facts))
    }

    #[test]
    fn a_program_answers_with_a_decision() {
        let program = r#"package errand
default decision := "allow"
decision := {"decision": "deny", "reason": "no mail outside"} if {
    input.call.name == "send"
    not endswith(input.call.arguments.to, "@example.org")
}
decision := {"decision": "modify", "modified": object.union(input.call.arguments, {"limit": 10})} if {
    input.call.name == "search"
}
decision := {"decision": "requires-approval"} if {
    input.call.name == "pay"
    input.budget.cost_usd_left < 1
}"#;
        let send = |to: &str| decide(program, json!({ "name": "send", "arguments": { "to": to } }));
        assert_eq!(send("a@example.org"), PolicyDecision::ALLOWED);
        assert_eq!(send("a@b"), PolicyDecision::of(PolicyVerdict::Deny, "no mail outside"));
        let search = decide(program, json!({ "name": "search", "arguments": { "q": "x" } }));
        assert_eq!(search.modified, Some(json!({ "q": "x", "limit": 10 })));
        assert_eq!(decide(program, json!({ "name": "pay" })).verdict, PolicyVerdict::Ask);
    }

    #[test]
    fn a_set_of_reasons_denies() {
        let program =
            "package errand\ndeny contains msg if { input.call.name == \"rm\"; msg := \"no rm\" }";
        assert_eq!(decide(program, json!({ "name": "ls" })), PolicyDecision::ALLOWED);
        let denied = decide(program, json!({ "name": "rm" }));
        assert_eq!(denied, PolicyDecision::of(PolicyVerdict::Deny, "no rm"));
    }

    #[test]
    fn a_program_that_does_not_compile_is_refused_with_its_line() {
        let line = |text: &str| RegoProgram::compile("p", text).map(drop).map_err(|it| it.line);
        assert_eq!(line("package errand\ndecision := {"), Err(Some(2)));
        assert_eq!(line("package other\ndecision := \"allow\""), Err(Some(1)));
        assert_eq!(line("package errand\nallow := true"), Err(None));
        assert_eq!(line("package errand\ndecision := \"allow\" if http.send({})"), Err(Some(2)));
    }

    #[test]
    fn a_program_that_fails_takes_too_long_or_says_something_else_denies() {
        let endless = "package errand\ndecision := \"allow\" if { some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i * j == -1 }";
        for program in [
            endless,
            "package errand\ndecision := \"allow\" if to_number(input.call.name) > 1",
            "package errand\ndecision := \"maybe\"",
            "package errand\ndecision := 7",
            "package errand\ndecision := {\"decision\": \"modify\"}",
        ] {
            let decided = decide(program, json!({ "name": "x" }));
            assert_eq!(decided.verdict, PolicyVerdict::Deny, "{program}");
            let is_over = decided.reason.is_some_and(|reason| reason.contains("time limit"));
            assert_eq!(is_over, program == endless, "{program}");
        }
    }
}
