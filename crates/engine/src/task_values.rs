//! Sealed values of a task: the bearer token of its callback, and variables that hold secrets.
//!
//! Values are encrypted for the identity of the dispatcher's user, so that no journal, file or export
//! has them in clear.

use std::collections::BTreeMap;

use errand_agent::secret::{self, FoundSecret, Sealer, SecretValue};
use errand_api::gateway::task::TaskRequest;
use errand_model::event::RunCreated;
use serde::{Deserialize, Serialize};

use crate::{EngineContext, environment};

/// Context that the values are sealed for.
const SEALED_AS: &str = "task";
/// Parts of a variable's name that say that its value is a secret.
const SECRET_WORDS: [&str; 10] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "API_KEY",
    "APIKEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
];

/// Values that are sealed together.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SealedValues {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback_token: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
}

/// Variables that are recorded, and the sealed rest.
pub(crate) struct SplitValues {
    /// Variables in clear.
    pub(crate) env: BTreeMap<String, String>,
    /// Sealed values; `None` if there are none.
    pub(crate) sealed: Option<String>,
}

/// Seals the bearer token of a request alone; `None` if it has none.
pub(crate) fn token<'s, E: From<secret::Error>>(
    request: &TaskRequest,
    sealer: impl FnOnce() -> Result<&'s Sealer, E>,
) -> Result<Option<String>, E> {
    let values =
        SealedValues { callback_token: request.callback_token.clone(), ..SealedValues::default() };
    seal(&values, sealer)
}

/// Seals values; `None` if there are none.
fn seal<'s, E: From<secret::Error>>(
    values: &SealedValues,
    sealer: impl FnOnce() -> Result<&'s Sealer, E>,
) -> Result<Option<String>, E> {
    if *values == SealedValues::default() {
        return Ok(None);
    }
    let text = serde_json::to_vec(values).unwrap_or_default();
    Ok(Some(sealer()?.seal(SEALED_AS, &text)?))
}

/// Splits the values of a request by whether they may be recorded.
pub(crate) fn split<'s, E: From<secret::Error>>(
    request: &TaskRequest,
    sealer: impl FnOnce() -> Result<&'s Sealer, E>,
) -> Result<SplitValues, E> {
    let mut values =
        SealedValues { callback_token: request.callback_token.clone(), ..SealedValues::default() };
    let mut env = BTreeMap::new();
    for (name, value) in &request.env {
        let is_secret = is_secret(name) || environment::has_password(value);
        let fits = SecretValue::new(value.clone().into_bytes()).is_ok();
        let kept = if fits && is_secret { &mut values.env } else { &mut env };
        kept.insert(name.clone(), value.clone());
    }
    values.env.extend(request.secret_env.clone());
    Ok(SplitValues { env, sealed: seal(&values, sealer)? })
}

/// Returns true if the name of a variable, or of a part of it, says that its value is a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_WORDS.iter().any(|word| name.contains(word)) || name.split('_').any(|it| it == "PAT")
}

/// Opens the sealed values of a task.
fn open(around: &EngineContext, sealed: Option<&str>) -> Result<SealedValues, secret::Error> {
    let Some(sealed) = sealed else { return Ok(SealedValues::default()) };
    let text = Sealer::open_or_create(&around.identity)?.open(SEALED_AS, sealed)?;
    serde_json::from_slice(&text).map_err(|_| secret::Error::Damaged {
        name: SEALED_AS.to_owned(),
        reason: "it is not what was sealed",
    })
}

/// Returns the sealed variables of a run's task, for an attempt.
///
/// # Errors
///
/// If the identity is missing or another one.
pub(crate) fn secrets(
    around: &EngineContext,
    spec: &RunCreated,
) -> Result<Vec<FoundSecret>, secret::Error> {
    let sealed = spec.task.as_ref().and_then(|task| task.sealed.as_deref());
    let found = open(around, sealed)?.env.into_iter();
    let one = |(name, value): (String, String)| {
        Some(FoundSecret { name, value: SecretValue::new(value.into_bytes()).ok()? })
    };
    Ok(found.filter_map(one).collect())
}

/// Returns the bearer token among the sealed values of a task; `None` if it has none.
///
/// # Errors
///
/// If the identity is missing or another one.
pub(crate) fn bearer(
    around: &EngineContext,
    sealed: Option<&str>,
) -> Result<Option<String>, secret::Error> {
    Ok(open(around, sealed)?.callback_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_secret_by_its_name() {
        for name in ["GITHUB_TOKEN", "github_pat", "DB_PASSWORD", "OPENAI_API_KEY", "MY_SECRET_2"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["BRIEF_KEY", "TASK_ID", "PATH", "KEYBOARD", "PATTERN"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
