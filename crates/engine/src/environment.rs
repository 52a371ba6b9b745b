//! Environment variables of an agent: a short list of the caller's, and those that the agent file
//! names.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use errand_agent::parcel::Parcel;
use errand_agent::redact::Redactor;
use errand_agent::secret::{self, FoundSecret, Vault};
use errand_api::agent_file::{Agent, ProviderName};
use errand_model::event::{CallerEnvironment, Replay, ReplayPolicy, RunCreated};

use crate::equipment::Equipment;
use crate::{Engine, EngineContext, secret_names};

/// Variables of the caller that are passed on, besides those whose names begin with `LC_`.
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
/// Search path of programs if the caller has no `PATH`.
const FALLBACK_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Variables that say where the container engine and the cluster are.
const OF_ENGINES: &[&str] = &[
    "DOCKER_HOST",
    "ERRAND_AGENT_API",
    "ERRAND_ENGINE",
    "ERRAND_KUBE_CONTEXT",
    "ERRAND_SHIM_IMAGE",
    "KUBECONFIG",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "XDG_RUNTIME_DIR",
];

/// Returns true if a variable says where the container engine, the cluster or a model provider is: helpers need
/// it, agents do not get it.
pub(crate) fn is_of_engine(name: &OsStr) -> bool {
    OF_ENGINES.iter().any(|known| name == *known)
        || ProviderName::ALL.iter().any(|provider| name == provider.base_url_variable())
}

/// Returns true if a variable says how the place of the blobs is reached: helpers need it, agents do
/// not get it.
pub(crate) fn is_of_blobs(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("AWS_"))
}

/// Returns true if a variable of the caller is passed on.
pub fn is_passed_on(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| PASSED_ON.contains(&name) || name.starts_with("LC_"))
}

/// Returns the variables of this process that are recorded with a run. A value that contains one of
/// `secrets`, or a password of a URL, is recorded by name only.
fn recordable(around: &EngineContext, secrets: &[FoundSecret]) -> CallerEnvironment {
    let redactor = redactor(secrets);
    let mut recorded = CallerEnvironment::default();
    for (name, value) in around.environment.iter().filter(|(name, _)| is_passed_on(name)) {
        let Some(name) = name.to_str().map(str::to_owned) else { continue };
        match value.to_str() {
            Some(value) if !has_password(value) && redactor.redact(value) == value => {
                recorded.variables.insert(name, value.to_owned());
            }
            Some(_) | None => {
                recorded.unrecorded.insert(name);
            }
        }
    }
    recorded
}

/// Returns the environment that all attempts of a new run see, unless the caller says otherwise:
/// [`recordable`], if this process acts for its caller alone and carries the run out itself.
/// Secrets of its agent, and of the agents that it names, are masked.
pub(crate) fn of_caller(
    engine: &Engine,
    parcel: &Parcel,
    is_placed: bool,
) -> Option<Box<CallerEnvironment>> {
    if !engine.records_environment() || is_placed {
        return None;
    }
    let names = secret_names::of_parcel(engine, parcel);
    let secrets = secrets_here(engine.surroundings(), &names);
    Some(Box::new(recordable(engine.surroundings(), &secrets)))
}

/// Returns true if a text is a URL with a user or a password in it, such as that of a proxy.
pub(crate) fn has_password(text: &str) -> bool {
    let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    !text.starts_with('/') && authority.contains('@')
}

/// Returns the caller's variables that an agent sees: the recorded ones, or else those of this
/// process.
fn visible(
    around: &EngineContext,
    recorded: Option<&CallerEnvironment>,
) -> BTreeMap<OsString, OsString> {
    let own = around.environment.iter().filter(|(name, _)| match recorded {
        Some(recorded) => name.to_str().is_some_and(|it| recorded.unrecorded.contains(it)),
        None => is_passed_on(name),
    });
    let mut all: BTreeMap<OsString, OsString> =
        own.map(|(name, value)| (name.clone(), value.clone())).collect();
    let variables = recorded.iter().flat_map(|recorded| &recorded.variables);
    all.extend(variables.map(|(name, value)| (name.into(), value.into())));
    all
}

/// Returns the agents' `PATH`, which finds errand itself first.
pub(crate) fn search_path(
    around: &EngineContext,
    recorded: Option<&CallerEnvironment>,
) -> OsString {
    let visible = visible(around, recorded);
    let inherited = visible.get(OsStr::new("PATH"));
    let mut path = OsString::new();
    if let Some(folder) = around.program.parent() {
        path.push(folder);
        path.push(":");
    }
    path.push(inherited.map_or(OsStr::new(FALLBACK_PATH), OsString::as_os_str));
    path
}

/// Returns the agent's secrets: from the environment first, then from the secret store.
pub(crate) fn secrets(
    around: &EngineContext,
    agent: &Agent,
) -> Result<Vec<FoundSecret>, secret::Error> {
    if agent.secrets.is_empty() {
        return Ok(Vec::new());
    }
    let look_up = |name: &str| around.environment.get(OsStr::new(name)).cloned();
    let vault = Vault::at(around.registry.secrets(), around.identity.clone());
    vault.resolve(&agent.secrets, &look_up)
}

/// Takes the secrets of its providers and tool servers off the agent of a strict replay, as far as this
/// process lacks them: no call goes out. Those that it has are masked all the same.
pub(crate) fn spare_gateway_secrets(
    around: &EngineContext,
    agent: &mut Agent,
    replay: Option<&Replay>,
) {
    if replay.is_none_or(|replay| replay.policy != ReplayPolicy::Strict) {
        return;
    }
    let is_spared =
        |name: &String| agent.hides_secret(name) && secrets_here(around, [name]).is_empty();
    let spared: Vec<String> = agent.secrets.iter().filter(|it| is_spared(it)).cloned().collect();
    agent.secrets.retain(|name| !spared.contains(name));
}

/// Returns the names of secrets that an attempt of the agent would lack in this process.
pub(crate) fn lacking(around: &EngineContext, agent: &Agent) -> Vec<String> {
    match secrets(around, agent) {
        Ok(_) => Vec::new(),
        Err(secret::Error::Missing { names, .. }) => names,
        Err(_) => {
            // The store has a secret but cannot open it: try each by itself.
            let is_lacking = |name: &&String| {
                let one = Agent { secrets: vec![(*name).clone()], ..agent.clone() };
                secrets(around, &one).is_err()
            };
            agent.secrets.iter().filter(is_lacking).cloned().collect()
        }
    }
}

/// Returns those secrets that this process can resolve.
pub(crate) fn secrets_here<'n>(
    around: &EngineContext,
    names: impl IntoIterator<Item = &'n String>,
) -> Vec<FoundSecret> {
    let vault = Vault::at(around.registry.secrets(), around.identity.clone());
    let look_up = |name: &str| around.environment.get(OsStr::new(name)).cloned();
    let one = |name: &String| vault.resolve(std::slice::from_ref(name), &look_up).ok();
    names.into_iter().filter_map(one).flatten().collect()
}

/// Returns the redactor that masks the values of secrets.
pub(crate) fn redactor(secrets: &[FoundSecret]) -> Redactor {
    Redactor::new(secrets.iter().map(|secret| (secret.name.as_str(), secret.value.expose())))
}

/// Returns true if the secret store alone has all secrets of the agent.
pub(crate) fn store_has_all(around: &EngineContext, agent: &Agent) -> bool {
    let vault = Vault::at(around.registry.secrets(), around.identity.clone());
    vault.resolve(&agent.secrets, &|_| None).is_ok()
}

/// Returns true if a variable of the caller is passed on to an agent that does not see this machine:
/// one about the person, and not about files or programs of this machine.
fn is_passed_on_elsewhere(name: &OsStr) -> bool {
    let general = ["LANG", "LANGUAGE", "NO_COLOR", "TZ"];
    name.to_str().is_some_and(|name| general.contains(&name) || name.starts_with("LC_"))
}

/// Returns the environment of one attempt. From weakest to strongest: the caller's passed-on
/// variables, the agent file's, the run's, the secrets, errand's own. An agent that does not see this
/// machine gets no search path, home and the like of it.
pub(crate) fn of_attempt(
    around: &EngineContext,
    (agent, sees_this_machine): (&Agent, bool),
    spec: &RunCreated,
    (secrets, equipment): (&[FoundSecret], &Equipment),
    own: Vec<(&'static str, OsString)>,
) -> Vec<(OsString, OsString)> {
    let recorded = spec.caller_env.as_deref();
    let mut all = visible(around, recorded);
    if sees_this_machine {
        all.insert("PATH".into(), search_path(around, recorded));
    } else {
        all.retain(|name, _| is_passed_on_elsewhere(name));
    }
    // A parcel must stay as its digest says: an interpreter must not write caches into it.
    all.insert("PYTHONDONTWRITEBYTECODE".into(), "1".into());
    // The log gets a line when it is printed, not when a buffer is full.
    all.insert("PYTHONUNBUFFERED".into(), "1".into());
    for (name, value) in agent.env.iter().chain(&spec.env) {
        all.insert(name.into(), value.into());
    }
    let is_hidden = |name: &str| equipment.hidden.contains(name) || agent.hides_secret(name);
    for secret in secrets.iter().filter(|it| !is_hidden(&it.name)) {
        all.insert((&secret.name).into(), secret.value.expose_os().to_owned());
    }
    let named = equipment.secret_variables.iter();
    for (name, of) in named.filter(|(name, _)| !spec.env.contains_key(*name)) {
        if let Some(secret) = secrets.iter().find(|secret| secret.name == *of) {
            all.insert(name.into(), secret.value.expose_os().to_owned());
        }
    }
    let has_door = !agent.providers.is_empty() || !agent.mcp_servers.is_empty();
    for (name, value) in own {
        all.insert(name.into(), value);
    }
    if has_door {
        reach_loopback_directly(&mut all);
    }
    all.into_iter().collect()
}

/// Returns the environment of a tool server: the caller's passed-on variables, and its own.
pub(crate) fn of_tool_server(
    around: &EngineContext,
    recorded: Option<&CallerEnvironment>,
    own: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let mut all = visible(around, recorded);
    all.insert("PATH".into(), search_path(around, recorded));
    all.extend(own);
    all.into_iter().collect()
}

/// Variables that name a proxy for plain HTTP.
const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

/// Keeps clients that use a proxy from asking it for the door to model providers, which is an address
/// of this machine.
fn reach_loopback_directly(all: &mut BTreeMap<OsString, OsString>) {
    if !PROXIES.iter().any(|name| all.contains_key(OsStr::new(name))) {
        return;
    }
    for name in ["no_proxy", "NO_PROXY"] {
        let hosts = all.entry(name.into()).or_default();
        if !hosts.is_empty() {
            hosts.push(",");
        }
        hosts.push("127.0.0.1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_user_or_password_is_recognised() {
        for text in ["http://me:pw@proxy:3128", "me:pw@proxy:3128", "https://token@proxy/x"] {
            assert!(has_password(text), "{text}");
        }
        for text in ["http://proxy:3128/@x", "/opt/me@work/bin:/usr/bin", "en_US.UTF-8", ""] {
            assert!(!has_password(text), "{text}");
        }
    }
}
