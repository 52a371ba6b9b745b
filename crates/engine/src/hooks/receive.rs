//! Handling of a request to a hook: its checks, and the run that it fires.

use std::collections::BTreeMap;

use errand_api::gateway::hook::{HookAnswer, HookDelivery, HookOutcome, HookScheme};
use errand_model::Timestamp;
use errand_store::{DocumentKind, DocumentWrite, Expect};
use hyper::Uri;
use hyper::header::HeaderMap;
use serde_json::{Value, json};

use super::define::open;
use super::hook::{Events, HookDefinition, RegisteredHook};
use super::log::{DedupedRun, known_key, to_write, trim};
use super::reference::{Request, RequestField};
use super::template::{render, render_text};
use super::{Error, verify};
use crate::documents::read;
use crate::firing::{FiredTrigger, Firing, is_session};
use crate::listener::mask;
use crate::named::{self, DefinitionKey, is_changed, put};
use crate::payload::input_of_value;
use crate::{Engine, Error as EngineError, admit, submit};

/// Tries of a request that collides with an equal one.
const TRIES: usize = 32;
/// Longest dedupe key, and longest event name.
const KEY_LIMIT_CHARS: usize = 512;

/// A request as received.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedHookRequest<'a> {
    /// Path and query.
    pub uri: &'a Uri,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The body, byte for byte.
    pub body: &'a [u8],
    /// Address of the sender, for people.
    pub remote: Option<&'a str>,
}

/// Facts of a request with a valid signature.
struct Understood {
    event: Option<String>,
    dedupe: Option<(String, u64)>,
    firing: Firing,
}

/// Decision about a request.
enum Made {
    Skip { event: Option<String>, reason: String },
    Fire(Box<Understood>),
}

/// Handles a request. Its result is logged before this returns, also if the request is refused;
/// only requests to hooks that do not exist are not logged.
///
/// # Errors
///
/// [`named::Error::NotFound`]; [`Error`]; errors of agent and input.
pub async fn receive(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
    received: ReceivedHookRequest<'_>,
) -> Result<HookAnswer, EngineError> {
    let place = (namespace, name);
    let (hook, _) = named::load::<RegisteredHook>(engine, place).await?;
    let mut logged = HookDelivery {
        id: engine.new_run_id()?.to_string(),
        at_ms: engine.now().as_millis(),
        outcome: HookOutcome::Rejected,
        run_id: None,
        reason: None,
        event: None,
        remote: received.remote.map(str::to_owned),
        body_bytes: u64::try_from(received.body.len()).unwrap_or(u64::MAX),
    };
    let taken = match understand(engine, place, &hook, (&received, &logged.id)) {
        Ok(Made::Fire(understood)) => fire(engine, place, &understood, &logged).await,
        Ok(Made::Skip { event, reason }) => {
            let (outcome, reason) = (HookOutcome::Skipped, Some(reason));
            let logged = HookDelivery { outcome, event, reason, ..logged.clone() };
            engine.store().write_documents(vec![to_write(place, logged.clone())]).await?;
            Ok(logged)
        }
        Err(error) => Err(error),
    };
    match &taken {
        Ok(_) | Err(EngineError::Store(_)) => {}
        Err(error) => {
            logged.reason = Some(error.to_string());
            engine.store().write_documents(vec![to_write(place, logged)]).await?;
        }
    }
    // The result of the request is durable: a failed trim must not fail the request.
    if let Err(error) = trim(engine, place).await {
        tracing::warn!(hook = name, error = %error, "old requests cannot be removed");
    }
    let HookDelivery { id, outcome, run_id, reason, .. } = taken?;
    Ok(HookAnswer { delivery_id: id, outcome, run_id, reason })
}

/// Checks the signature first, then the rest of the request.
fn understand(
    engine: &Engine,
    (namespace, name): DefinitionKey<'_>,
    hook: &RegisteredHook,
    (received, id): (&ReceivedHookRequest<'_>, &str),
) -> Result<Made, EngineError> {
    let definition = &hook.definition;
    let secret = open(engine, hook)?;
    let now_seconds = engine.now().as_millis().div_euclid(1_000);
    let (headers, body) = (received.headers, received.body);
    verify::verify(&definition.signature, secret.expose(), headers, body, now_seconds)
        .map_err(|reason| Error::Signature { reason })?;
    if !definition.enabled {
        return Err(Error::Disabled { name: name.to_owned() }.into());
    }
    let rejected = |reason: String| Error::Rejected { reason };
    let body: Value = serde_json::from_slice(received.body)
        .map_err(|error| rejected(format!("the body is not JSON: {error}")))?;
    let masked = mask::headers(received.headers);
    let (target, _) = mask::target(received.uri);
    let query = query(&target);
    let request = Request {
        raw: received.headers,
        headers: &masked,
        query: &query,
        body: &body,
        hook: name,
        delivery_id: id,
    };
    let event = event_of(definition.signature.scheme, definition.events.as_ref(), &request);
    if definition.signature.scheme == HookScheme::Github && event.as_deref() == Some("ping") {
        return Ok(Made::Skip { event, reason: "a ping".to_owned() });
    }
    if let Some(events) = &definition.events
        && !counts(events, definition.signature.scheme, event.as_deref(), &body)
    {
        let reason = event.as_ref().map_or_else(
            || "the request does not name its event".to_owned(),
            |event| format!("the hook does not ask for {event}"),
        );
        return Ok(Made::Skip { event, reason });
    }
    make(&hook.definition, &request, (namespace, received.remote, &target), event)
}

/// Returns the run that an accepted request fires.
fn make(
    definition: &HookDefinition,
    request: &Request<'_>,
    (namespace, remote, target): (Option<&str>, Option<&str>, &str),
    event: Option<String>,
) -> Result<Made, EngineError> {
    let rejected = |reason: String| Error::Rejected { reason };
    let dedupe = match definition.dedupe() {
        None => None,
        Some(dedupe) => {
            let key = dedupe.key.find(request).filter(|key| !key.is_empty());
            let key =
                key.filter(|key| key.chars().count() <= KEY_LIMIT_CHARS).ok_or_else(|| {
                    rejected(format!("{} has no dedupe key of at most 512 characters", dedupe.key))
                })?;
            Some((key, dedupe.window_ms))
        }
    };
    let input = match &definition.input {
        Some(template) => render(template, request).map_err(rejected)?,
        None => request.body.clone(),
    };
    let text = |text: &String| render_text(text, request).map_err(rejected);
    let labels = definition.labels.iter().map(|(name, value)| Ok((name.clone(), text(value)?)));
    let labels: BTreeMap<_, _> = labels.collect::<Result<_, Error>>()?;
    let session_id = definition.session_id.as_ref().map(text).transpose()?;
    if let Some(session) = session_id.as_ref().filter(|session| !is_session(session)) {
        return Err(rejected(format!("{session:?} cannot be a session")).into());
    }
    let facts = json!({
        "hook": request.hook,
        "delivery_id": request.delivery_id,
        "event": event,
        "target": target,
        "headers": request.headers,
        "remote": remote,
    });
    let fired = FiredTrigger::of_request(request.hook, facts, input_of_value(&input));
    let firing = Firing {
        namespace: namespace.map(str::to_owned),
        agent: definition.agent.clone(),
        fired,
        labels,
        session_id,
    };
    Ok(Made::Fire(Box::new(Understood { event, dedupe, firing })))
}

/// Returns the query parameters of a masked target; the last of equal names counts.
fn query(target: &str) -> BTreeMap<String, String> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let decode = |text: &str| errand_api::agent_protocol::path::decode(&text.replace('+', " "));
    query
        .split('&')
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name).filter(|name| !name.is_empty())?, decode(value)?))
        })
        .collect()
}

/// Returns the name of the event, if it can be found.
fn event_of(scheme: HookScheme, events: Option<&Events>, request: &Request<'_>) -> Option<String> {
    let by_scheme = match scheme {
        HookScheme::Github => Some(RequestField::Header("x-github-event".to_owned())),
        HookScheme::StandardWebhooks => Some(RequestField::Pointer("/type".to_owned())),
        HookScheme::HmacSha256 | HookScheme::Token => None,
    };
    let place = events.and_then(|events| events.from.clone()).or(by_scheme)?;
    place.find(request).map(|event| event.chars().take(KEY_LIMIT_CHARS).collect())
}

fn counts(events: &Events, scheme: HookScheme, event: Option<&str>, body: &Value) -> bool {
    let Some(event) = event else { return false };
    let with_action = match (scheme, body.get("action").and_then(Value::as_str)) {
        (HookScheme::Github, Some(action)) => Some(format!("{event}.{action}")),
        (
            HookScheme::Github
            | HookScheme::HmacSha256
            | HookScheme::StandardWebhooks
            | HookScheme::Token,
            _,
        ) => None,
    };
    events.any_of.iter().any(|known| known == event || with_action.as_ref() == Some(known))
}

/// Fires a run unless an equal request did. Run, log entry and dedupe key are one commit.
async fn fire(
    engine: &Engine,
    place: DefinitionKey<'_>,
    understood: &Understood,
    blank: &HookDelivery,
) -> Result<HookDelivery, EngineError> {
    let logged = |outcome, run_id| HookDelivery {
        outcome,
        run_id: Some(run_id),
        event: understood.event.clone(),
        ..blank.clone()
    };
    for _ in 0..TRIES {
        let now = engine.now();
        let known = match &understood.dedupe {
            Some((key, _)) => known(engine, place, key).await?,
            None => None,
        };
        if let Some((known, _)) = known.as_ref().filter(|(known, _)| now < known.until) {
            let logged = logged(HookOutcome::Coalesced, known.run_id.clone());
            engine.store().write_documents(vec![to_write(place, logged.clone())]).await?;
            return Ok(logged);
        }
        let submission = understood.firing.check(engine).await?;
        let mut admission = admit::admission(engine, submission).await?;
        let run_id = admission.run.id.clone();
        let logged = logged(HookOutcome::Created, run_id.clone());
        admission.documents.push(to_write(place, logged.clone()));
        if let Some((key, window_ms)) = &understood.dedupe {
            let until = now.plus(std::time::Duration::from_millis(*window_ms));
            let expect = known.map_or(Expect::Absent, |(_, revision)| Expect::Revision(revision));
            let body = DedupedRun { run_id, until };
            admission.documents.push(remember(place, key, &body, (expect, until)));
        }
        match submit::admit_prepared(engine, admission).await {
            Ok(_) => return Ok(logged),
            // An equal request committed first: the next try finds its run.
            Err(error) if is_changed(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(named::contended::<RegisteredHook>(place.1))
}

fn remember(
    (namespace, name): DefinitionKey<'_>,
    key: &str,
    known: &DedupedRun,
    (expect, until): (Expect, Timestamp),
) -> DocumentWrite {
    let place = (DocumentKind::HookDelivery, namespace, known_key(name, key));
    put(place, known, expect, Some(until))
}

async fn known(
    engine: &Engine,
    (namespace, name): DefinitionKey<'_>,
    key: &str,
) -> Result<Option<(DedupedRun, u64)>, EngineError> {
    let key = known_key(name, key);
    let found = engine.store().document(DocumentKind::HookDelivery, namespace, &key).await?;
    found.map(|document| Ok((read(&document)?, document.revision))).transpose()
}
