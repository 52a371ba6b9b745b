//! What an agent sees of the world: a short list of the caller's variables, and what it asked for.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use errand_agent::secret::{Secret, Vault};
use errand_api::agent_file::Agent;

use crate::{Error, Surroundings};

/// The caller's variables that are passed on, besides those whose names begin with `LC_`.
pub const PASSED_ON: &[&str] = &[
    "HOME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "NO_COLOR",
    "NO_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "PATH",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
/// Where programs are looked for if the caller has no `PATH`.
const FALLBACK_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Whether a variable of the caller is passed on.
pub fn is_passed_on(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| PASSED_ON.contains(&name) || name.starts_with("LC_"))
}

/// The agents' `PATH`: errand itself is found first.
pub(crate) fn search_path(around: &Surroundings) -> OsString {
    let inherited = around.environment.get(OsStr::new("PATH"));
    let mut path = OsString::new();
    if let Some(folder) = around.program.parent() {
        path.push(folder);
        path.push(":");
    }
    path.push(inherited.map_or(OsStr::new(FALLBACK_PATH), OsString::as_os_str));
    path
}

/// The agent's secrets: from the environment first, then from the secret store.
pub(crate) fn secrets(around: &Surroundings, agent: &Agent) -> Result<Vec<Secret>, Error> {
    if agent.secrets.is_empty() {
        return Ok(Vec::new());
    }
    let look_up = |name: &str| around.environment.get(OsStr::new(name)).cloned();
    let vault = Vault::at(around.registry.secrets(), around.identity.clone());
    Ok(vault.resolve(&agent.secrets, &look_up)?)
}

/// The environment of one attempt, from weakest to strongest: the caller's passed-on variables,
/// the agent file's, the run's, the secrets, errand's own.
pub(crate) fn of_attempt(
    around: &Surroundings,
    agent: &Agent,
    run_env: &BTreeMap<String, String>,
    secrets: &[Secret],
    own: Vec<(&'static str, OsString)>,
) -> Vec<(OsString, OsString)> {
    let mut all: BTreeMap<OsString, OsString> = around
        .environment
        .iter()
        .filter(|(name, _)| is_passed_on(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    all.insert("PATH".into(), search_path(around));
    // A parcel is what its digest says: an interpreter must not leave its own files in it.
    all.insert("PYTHONDONTWRITEBYTECODE".into(), "1".into());
    // The log has a line when it is printed, not when a buffer is full.
    all.insert("PYTHONUNBUFFERED".into(), "1".into());
    for (name, value) in agent.env.iter().chain(run_env) {
        all.insert(name.into(), value.into());
    }
    for secret in secrets {
        all.insert((&secret.name).into(), secret.value.expose_os().to_owned());
    }
    for (name, value) in own {
        all.insert(name.into(), value);
    }
    all.into_iter().collect()
}
