//! Handling of a request to a hook: its checks, and the run that it fires.

use std::collections::BTreeMap;

use errand_model::event::{Trigger, TriggerKind};
use errand_model::{RunId, Timestamp};
use errand_store::{DocumentKind, DocumentWrite, Expect};
use hyper::Uri;
use hyper::header::HeaderMap;
use serde_json::{Value, json};

use super::hook::{Events, HookDefinition, RegisteredHook, Scheme};
use super::log::{DedupedRun, LoggedHookRequest, known_key, trim};
use super::reference::{Request, RequestField};
use super::template::{render, render_text};
use super::{Error, define, verify};
use crate::firing::{Firing, is_changed, is_session, put};
use crate::listener::mask;
use crate::outbox::read;
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

/// Result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookRequestOutcome {
    /// The request fired a run.
    Created {
        /// Id of the run.
        run_id: RunId,
    },
    /// An equal request fired a run before.
    Coalesced {
        /// Id of that run.
        run_id: RunId,
    },
    /// The hook does not accept requests of this kind.
    Skipped {
        /// Reason in words.
        reason: String,
    },
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
/// [`Error::NotFound`], [`Error::Disabled`], [`Error::Signature`], [`Error::Rejected`];
/// [`EngineError::InputSchema`] and other errors of agent and input.
pub async fn receive(
    engine: &Engine,
    namespace: Option<&str>,
    name: &str,
    received: ReceivedHookRequest<'_>,
) -> Result<(String, HookRequestOutcome), EngineError> {
    let (hook, _) = define::load(engine, namespace, name).await?;
    let place = (namespace, name);
    let id = engine.new_run_id()?.to_string();
    let blank = LoggedHookRequest {
        id: id.clone(),
        at_ms: engine.now(),
        outcome: "rejected".to_owned(),
        run_id: None,
        reason: None,
        event: None,
        remote: received.remote.map(str::to_owned),
        body_bytes: u64::try_from(received.body.len()).unwrap_or(u64::MAX),
    };
    let taken = match understand(engine, place, &hook, (&received, &id)) {
        Ok(Made::Fire(understood)) => fire(engine, place, &understood, &blank).await,
        Ok(Made::Skip { event, reason }) => {
            let outcome = "skipped".to_owned();
            let logged =
                LoggedHookRequest { outcome, event, reason: Some(reason.clone()), ..blank.clone() };
            engine.store().write_documents(vec![logged.write(place)]).await?;
            Ok(HookRequestOutcome::Skipped { reason })
        }
        Err(error) => Err(error),
    };
    match &taken {
        Ok(_) | Err(EngineError::Store(_)) => {}
        Err(error) => {
            let logged = LoggedHookRequest { reason: Some(error.to_string()), ..blank };
            engine.store().write_documents(vec![logged.write(place)]).await?;
        }
    }
    // The result of the request is durable: a failed trim must not fail the request.
    if let Err(error) = trim(engine, place).await {
        tracing::warn!(hook = name, error = %error, "old requests cannot be removed");
    }
    taken.map(|outcome| (id, outcome))
}

/// Checks the signature first, then the rest of the request.
fn understand(
    engine: &Engine,
    (namespace, name): (Option<&str>, &str),
    hook: &RegisteredHook,
    (received, id): (&ReceivedHookRequest<'_>, &str),
) -> Result<Made, EngineError> {
    let definition = &hook.definition;
    let secret = define::open(engine, hook)?;
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
    if definition.signature.scheme == Scheme::Github && event.as_deref() == Some("ping") {
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
    let trigger = Trigger {
        kind: TriggerKind::Webhook,
        source: Some(request.hook.to_owned()),
        payload: Some(json!({
            "hook": request.hook,
            "delivery_id": request.delivery_id,
            "event": event,
            "target": target,
            "headers": request.headers,
            "remote": remote,
        })),
    };
    let firing = Firing {
        namespace: namespace.map(str::to_owned),
        agent: definition.agent.clone(),
        trigger,
        input: Some(input_of_value(&input)),
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
fn event_of(scheme: Scheme, events: Option<&Events>, request: &Request<'_>) -> Option<String> {
    let by_scheme = match scheme {
        Scheme::Github => Some(RequestField::Header("x-github-event".to_owned())),
        Scheme::StandardWebhooks => Some(RequestField::Pointer("/type".to_owned())),
        Scheme::HmacSha256 | Scheme::Token => None,
    };
    let place = events.and_then(|events| events.from.clone()).or(by_scheme)?;
    place.find(request).map(|event| event.chars().take(KEY_LIMIT_CHARS).collect())
}

fn counts(events: &Events, scheme: Scheme, event: Option<&str>, body: &Value) -> bool {
    let Some(event) = event else { return false };
    let with_action = match (scheme, body.get("action").and_then(Value::as_str)) {
        (Scheme::Github, Some(action)) => Some(format!("{event}.{action}")),
        (Scheme::Github | Scheme::HmacSha256 | Scheme::StandardWebhooks | Scheme::Token, _) => None,
    };
    events.any_of.iter().any(|known| known == event || with_action.as_ref() == Some(known))
}

/// Fires a run unless an equal request did. Run, log entry and dedupe key are one commit.
async fn fire(
    engine: &Engine,
    place: (Option<&str>, &str),
    understood: &Understood,
    blank: &LoggedHookRequest,
) -> Result<HookRequestOutcome, EngineError> {
    let (namespace, name) = place;
    let event = understood.event.clone();
    for _ in 0..TRIES {
        let now = engine.now();
        let known = match &understood.dedupe {
            Some((key, _)) => known(engine, place, key).await?,
            None => None,
        };
        if let Some((known, _)) = known.as_ref().filter(|(known, _)| now < known.until) {
            let run_id = known.run_id.clone();
            let (outcome, event) = ("coalesced".to_owned(), event.clone());
            let logged =
                LoggedHookRequest { outcome, event, run_id: Some(run_id.clone()), ..blank.clone() };
            engine.store().write_documents(vec![logged.write(place)]).await?;
            return Ok(HookRequestOutcome::Coalesced { run_id });
        }
        let submission = understood.firing.check(engine).await?;
        let mut admission = admit::admission(engine, submission).await?;
        let run_id = admission.run.id.clone();
        let (outcome, event) = ("created".to_owned(), event.clone());
        let logged =
            LoggedHookRequest { outcome, event, run_id: Some(run_id.clone()), ..blank.clone() };
        admission.documents.push(logged.write(place));
        if let Some((key, window_ms)) = &understood.dedupe {
            let until = now.plus(std::time::Duration::from_millis(*window_ms));
            let expect = known.map_or(Expect::Absent, |(_, revision)| Expect::Revision(revision));
            let body = DedupedRun { run_id: run_id.clone(), until };
            admission.documents.push(remember((namespace, name), key, &body, (expect, until)));
        }
        match submit::admit_prepared(engine, admission).await {
            Ok(_) => return Ok(HookRequestOutcome::Created { run_id }),
            // An equal request committed first: the next try finds its run.
            Err(error) if is_changed(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Contended { name: name.to_owned() }.into())
}

fn remember(
    (namespace, name): (Option<&str>, &str),
    key: &str,
    known: &DedupedRun,
    (expect, until): (Expect, Timestamp),
) -> DocumentWrite {
    let place = (DocumentKind::HookDelivery, namespace, known_key(name, key));
    put(place, known, expect, Some(until))
}

async fn known(
    engine: &Engine,
    (namespace, name): (Option<&str>, &str),
    key: &str,
) -> Result<Option<(DedupedRun, u64)>, EngineError> {
    let key = known_key(name, key);
    let found = engine.store().document(DocumentKind::HookDelivery, namespace, &key).await?;
    found.map(|document| Ok((read(&document)?, document.revision))).transpose()
}
