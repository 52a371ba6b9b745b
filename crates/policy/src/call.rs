//! The call that a policy decides about.

use errand_api::agent_file::PolicyHook;
use serde_json::{Value, json};

/// A call that policies decide about.
#[derive(Clone, Debug)]
pub struct PolicyCall {
    /// The moment.
    pub hook: PolicyHook,
    /// Names by which rules match the call, such as `mail_send` and `send`.
    pub names: Vec<String>,
    /// Input of programs: `hook`, `run`, `agent`, `caller`, `call`, `budget`, `so_far`.
    pub input: Value,
}

impl PolicyCall {
    /// Returns a call. `facts` has the members of the input besides `hook` and `call`.
    pub fn new(hook: PolicyHook, names: Vec<String>, call: Value, facts: &Value) -> Self {
        let mut input = facts.clone();
        if let Some(members) = input.as_object_mut() {
            members.insert("hook".to_owned(), json!(hook.as_str()));
            members.insert("call".to_owned(), call);
        }
        Self { hook, names, input }
    }

    /// Returns the facts of the call itself.
    pub fn call(&self) -> &Value {
        &self.input["call"]
    }
}
