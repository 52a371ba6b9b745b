//! Definition, listing and removal of hooks.

use errand_agent::secret::Sealer;
use errand_api::gateway::hook::{Hook, HookScheme};

use super::hook::{HookDefinition, HookSecret, RegisteredHook, invalid};
use super::reference::http_name;
use super::template;
use crate::error::PayloadRefused;
use crate::named::{self, Error, is_name};
use crate::outbox::SigningSecret;
use crate::{Engine, Error as EngineError, agents};

/// Context that hook secrets are sealed for.
const SEALED_AS: &str = "hook";
/// Shortest secret: a shorter one can be guessed.
const SECRET_MIN_CHARS: usize = 8;
/// Longest secret: no sender has a longer one.
const SECRET_MAX_CHARS: usize = 1_024;
/// Longest window of a dedupe key: 30 days.
const WINDOW_LIMIT_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// Largest template.
const TEMPLATE_LIMIT_BYTES: usize = 64 * 1_024;
/// Names that routes of the API take.
const RESERVED: &[&str] = &["deliveries"];

/// Creates a hook, or changes the one of that name. Returns true if it is new. The returned
/// document has the secret only if it was generated here: it is never shown again. Without a given
/// secret, an existing hook keeps its own.
///
/// # Errors
///
/// [`Error::Invalid`], [`Error::TooMany`]; if the agent does not exist. Nothing changed then.
pub async fn define(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
    (definition, secret): (&HookDefinition, Option<&HookSecret>),
) -> Result<(Hook, bool), EngineError> {
    check(name, definition, secret)?;
    let (agent, version) = agents::split_reference(&definition.agent);
    agents::find(engine, namespace, agent, version).await?;
    let mut generated = None;
    let change = |before: Option<RegisteredHook>| {
        let (now, definition) = (engine.now(), definition.clone());
        let created_at = before.as_ref().map_or(now, |before| before.created_at);
        let sealed_secret = match (secret, before) {
            (Some(secret), _) => seal(engine, secret)?,
            (None, Some(before)) => before.sealed_secret,
            (None, None) => {
                let secret = HookSecret::new(SigningSecret::generate()?.expose());
                seal(engine, generated.insert(secret))?
            }
        };
        Ok(RegisteredHook { definition, sealed_secret, created_at, updated_at: now })
    };
    let (hook, is_new) = named::change(engine, (namespace, name), change).await?;
    let mut view = hook.view(namespace, name);
    view.signature.secret = generated.filter(|_| is_new).map(|secret| secret.expose().to_owned());
    Ok((view, is_new))
}

fn check(
    name: &str,
    definition: &HookDefinition,
    secret: Option<&HookSecret>,
) -> Result<(), Error> {
    if !is_name(name) || RESERVED.contains(&name) {
        let reason = format!(
            "{name:?} is no name of a hook: 1 to 63 of a-z, 0-9, '-', '_', '.', beginning with a \
             letter or digit, and not \"deliveries\""
        );
        return Err(invalid("/name", reason));
    }
    let signature = &definition.signature;
    let is_open = matches!(signature.scheme, HookScheme::HmacSha256 | HookScheme::Token);
    if !is_open && (signature.header.is_some() || signature.prefix.is_some()) {
        let reason = "this scheme says itself which header it uses".to_owned();
        return Err(invalid("/signature/header", reason));
    }
    if let Some(header) = signature.header.as_deref().filter(|header| !http_name(header)) {
        return Err(invalid("/signature/header", format!("{header:?} is no name of a header")));
    }
    if let Some(secret) = secret {
        let (text, length) = (secret.expose(), secret.expose().chars().count());
        let is_standard = signature.scheme == HookScheme::StandardWebhooks;
        if is_standard && text.starts_with("whsec_") && SigningSecret::parse(text).is_none() {
            let reason = "what follows whsec_ is not base64 of 24 to 64 bytes".to_owned();
            return Err(invalid("/signature/secret", reason));
        }
        if !(SECRET_MIN_CHARS..=SECRET_MAX_CHARS).contains(&length)
            || text.chars().any(char::is_control)
        {
            let reason = format!(
                "a secret has {SECRET_MIN_CHARS} to {SECRET_MAX_CHARS} characters, none of them a \
                 control character"
            );
            return Err(invalid("/signature/secret", reason));
        }
    }
    check_rest(definition)
}

fn check_rest(definition: &HookDefinition) -> Result<(), Error> {
    if let Some(input) = &definition.input {
        if input.to_string().len() > TEMPLATE_LIMIT_BYTES {
            let reason = format!("the template has more than {TEMPLATE_LIMIT_BYTES} bytes");
            return Err(invalid("/input", reason));
        }
        template::check(input).map_err(|it| invalid(format!("/input{}", it.pointer), it.reason))?;
    }
    if definition.labels.keys().any(String::is_empty) {
        return Err(invalid("/labels", "a label has no name".to_owned()));
    }
    let texts = definition.labels.iter().map(|(name, text)| (format!("/labels/{name}"), text));
    let session = definition.session_id.iter().map(|text| ("/session_id".to_owned(), text));
    for (pointer, text) in texts.chain(session) {
        template::check(&text.as_str().into()).map_err(|it| invalid(pointer, it.reason))?;
    }
    if let Some(dedupe) = &definition.dedupe {
        dedupe.key.check().map_err(|reason| invalid("/dedupe/key", reason))?;
        if dedupe.window_ms == 0 || dedupe.window_ms > WINDOW_LIMIT_MS {
            return Err(invalid("/dedupe/window", "a window is from 1 ms to 30 days".to_owned()));
        }
    }
    let Some(events) = &definition.events else { return Ok(()) };
    if events.any_of.is_empty() {
        return Err(invalid("/events/any_of", "it names no event".to_owned()));
    }
    match &events.from {
        Some(from) => from.check().map_err(|reason| invalid("/events/from", reason)),
        None if matches!(
            definition.signature.scheme,
            HookScheme::HmacSha256 | HookScheme::Token
        ) =>
        {
            let reason = "this scheme does not say where the name of an event is".to_owned();
            Err(invalid("/events/from", reason))
        }
        None => Ok(()),
    }
}

fn seal(engine: &Engine, secret: &HookSecret) -> Result<String, EngineError> {
    let sealer = Sealer::open_or_create(&engine.surroundings().identity)?;
    Ok(sealer.seal(SEALED_AS, secret.expose().as_bytes())?)
}

/// Returns the secret of a hook.
pub(super) fn open(engine: &Engine, hook: &RegisteredHook) -> Result<HookSecret, EngineError> {
    let sealer = Sealer::open_or_create(&engine.surroundings().identity)?;
    let text = String::from_utf8(sealer.open(SEALED_AS, &hook.sealed_secret)?);
    text.map(HookSecret::new)
        .map_err(|_| PayloadRefused { reason: "the secret of a hook is no text".to_owned() }.into())
}

/// Returns a hook.
///
/// # Errors
///
/// [`Error::NotFound`].
pub async fn get(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
) -> Result<Hook, EngineError> {
    let (hook, _) = named::load::<RegisteredHook>(engine, (namespace, name)).await?;
    Ok(hook.view(namespace, name))
}

/// Lists the hooks of a namespace by name: those after `after`, at most `limit`.
///
/// # Errors
///
/// If the registry fails.
pub async fn list(
    engine: &Engine,
    namespace: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Hook>, EngineError> {
    let found = named::list::<RegisteredHook>(engine, namespace, after, limit).await?;
    Ok(found.into_iter().map(|(name, hook)| hook.view(namespace, &name)).collect())
}

/// Removes a hook. Its runs stay; records of its requests expire.
///
/// # Errors
///
/// [`Error::NotFound`].
pub async fn remove(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
) -> Result<(), EngineError> {
    named::remove::<RegisteredHook>(engine, (namespace, name)).await
}
