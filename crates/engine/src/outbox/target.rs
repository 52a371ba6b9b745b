//! Receivers of reports: their secrets, failures and state.
//!
//! A namespace has one receiver for each origin (scheme, host, port). A receiver that no user added
//! is created when its first report is sent; its secret is then learnt by rotating it ([`rotate`]).

use std::time::Duration;

use errand_agent::secret::Sealer;
use errand_model::Timestamp;
use errand_store::{
    Document, DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect,
    Namespaces,
};
use serde::{Deserialize, Serialize};

use super::entry::{EntryState, OutboxEntry};
use super::{CallbackProblem, CallbackUrl, Error, SigningSecret, log};
use crate::Engine;
use crate::documents::{read, write};
use crate::error::PayloadRefused;

/// Most receivers of one namespace.
pub(super) const TARGETS_LIMIT: u32 = 1_000;
/// Failed tries in a row after which a receiver is disabled …
pub(super) const DISABLE_AFTER_FAILURES: u32 = 20;
/// … if the first of them is this long ago.
pub(super) const DISABLE_AFTER: Duration = Duration::from_secs(60 * 60);
/// Tries of a change that collides with changes by others.
const TRIES: usize = 16;
/// Context that receiver secrets are sealed for.
const SEALED_AS: &str = "callback target";

/// A receiver. Key: its origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallbackReceiver {
    /// The signing secret, sealed for the user's identity.
    pub sealed_secret: String,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Failed tries since the last success.
    pub failures: u32,
    /// Time of the first of these.
    pub failing_since: Option<Timestamp>,
    /// Last error.
    pub last_error: Option<String>,
    /// Time and reason of its disabling.
    pub disabled: Option<Disabled>,
}

/// Disabled state of a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disabled {
    /// Time since when it is disabled.
    pub at: Timestamp,
    /// Reason, for people.
    pub why: String,
}

/// A receiver as shown: without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// Scheme, host and port.
    pub origin: String,
    /// True if it gets reports.
    pub enabled: bool,
    /// Time and reason of its disabling.
    pub disabled: Option<Disabled>,
    /// Failed tries since the last success.
    pub failures: u32,
    /// Time of the first of these.
    pub failing_since: Option<Timestamp>,
    /// Last error.
    pub last_error: Option<String>,
    /// Time of creation.
    pub created_at: Timestamp,
}

impl CallbackReceiver {
    fn view(self, origin: &str) -> TargetView {
        TargetView {
            origin: origin.to_owned(),
            enabled: self.disabled.is_none(),
            disabled: self.disabled,
            failures: self.failures,
            failing_since: self.failing_since,
            last_error: self.last_error,
            created_at: self.created_at,
        }
    }

    pub(super) fn secret(&self, sealer: &Sealer) -> Result<SigningSecret, Error> {
        let text = sealer.open(SEALED_AS, &self.sealed_secret)?;
        let parsed = String::from_utf8(text).ok().and_then(|text| SigningSecret::parse(&text));
        Ok(parsed.ok_or_else(|| PayloadRefused {
            reason: "the secret of a callback target is none".to_owned(),
        })?)
    }

    /// Returns the receiver after a successful try; `None` if nothing changes.
    pub(super) fn after_success(mut self) -> Option<Self> {
        let changes = self.failures > 0;
        (self.failures, self.failing_since, self.last_error) = (0, None, None);
        changes.then_some(self)
    }

    /// Returns the receiver after a failed try: disabled after too many failures for too long.
    pub(super) fn after_failure(mut self, now: Timestamp, error: &str) -> Self {
        self.failures = self.failures.saturating_add(1);
        let since = *self.failing_since.get_or_insert(now);
        self.last_error = Some(error.to_owned());
        if self.failures >= DISABLE_AFTER_FAILURES && now.since(since) >= DISABLE_AFTER {
            let failures = self.failures;
            let why = format!("{failures} tries failed one after the other; the last one: {error}");
            self.disabled.get_or_insert(Disabled { at: now, why });
        }
        self
    }
}

/// Adds a receiver. Returns its view and its new secret, which is never shown again.
///
/// # Errors
///
/// [`CallbackProblem::TargetExists`], [`CallbackProblem::TooManyTargets`].
pub async fn add_target(
    engine: &Engine,
    namespace: Option<&str>,
    url: &CallbackUrl,
) -> Result<(TargetView, SigningSecret), Error> {
    let origin = url.origin();
    let found = list(engine, namespace, TARGETS_LIMIT).await?;
    if u32::try_from(found.len()).unwrap_or(u32::MAX) >= TARGETS_LIMIT {
        return Err(CallbackProblem::TooManyTargets { limit: TARGETS_LIMIT }.into());
    }
    let (target, secret) = fresh(engine)?;
    let written = put(engine, namespace, &origin, (&target, Expect::Absent)).await;
    match written {
        Ok(()) => Ok((target.view(&origin), secret)),
        Err(errand_store::Error::DocumentChanged { .. }) => {
            Err(CallbackProblem::TargetExists { origin }.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the receiver of that origin, creating it if there is none.
pub(super) async fn find_or_create(
    engine: &Engine,
    namespace: Option<&str>,
    origin: &str,
) -> Result<(CallbackReceiver, u64), Error> {
    for _ in 0..TRIES {
        if let Some(found) = find(engine, namespace, origin).await? {
            return Ok(found);
        }
        let (target, _) = fresh(engine)?;
        match put(engine, namespace, origin, (&target, Expect::Absent)).await {
            Ok(()) => return Ok((target, 1)),
            Err(errand_store::Error::DocumentChanged { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(CallbackProblem::Contended { what: format!("the callback target {origin}") }.into())
}

fn fresh(engine: &Engine) -> Result<(CallbackReceiver, SigningSecret), Error> {
    let secret = SigningSecret::generate()?;
    let target = CallbackReceiver {
        sealed_secret: seal(engine, &secret)?,
        created_at: engine.now(),
        failures: 0,
        failing_since: None,
        last_error: None,
        disabled: None,
    };
    Ok((target, secret))
}

fn seal(engine: &Engine, secret: &SigningSecret) -> Result<String, Error> {
    let sealer = Sealer::open_or_create(&engine.surroundings().identity)?;
    Ok(sealer.seal(SEALED_AS, secret.expose().as_bytes())?)
}

pub(super) async fn find(
    engine: &Engine,
    namespace: Option<&str>,
    origin: &str,
) -> Result<Option<(CallbackReceiver, u64)>, Error> {
    let found = engine.store().document(DocumentKind::CallbackTarget, namespace, origin).await?;
    found.map(|document| Ok((read(&document)?, document.revision))).transpose()
}

pub(super) fn put_write(
    namespace: Option<&str>,
    origin: &str,
    (target, expect): (&CallbackReceiver, Expect),
) -> DocumentWrite {
    let body = serde_json::to_value(target).unwrap_or_default();
    let change = DocumentChange::Put { body, due_at: None };
    write(DocumentKind::CallbackTarget, namespace, origin.to_owned(), (expect, change))
}

async fn put(
    engine: &Engine,
    namespace: Option<&str>,
    origin: &str,
    change: (&CallbackReceiver, Expect),
) -> Result<(), errand_store::Error> {
    engine.store().write_documents(vec![put_write(namespace, origin, change)]).await
}

/// Changes a receiver; a `change` that returns `None` leaves it unchanged.
pub(super) async fn change(
    engine: &Engine,
    namespace: Option<&str>,
    origin: &str,
    change: impl Fn(CallbackReceiver) -> Option<CallbackReceiver> + Send + Sync,
) -> Result<CallbackReceiver, Error> {
    for _ in 0..TRIES {
        let Some((target, revision)) = find(engine, namespace, origin).await? else {
            return Err(CallbackProblem::NoTarget { origin: origin.to_owned() }.into());
        };
        let Some(changed) = change(target.clone()) else { return Ok(target) };
        let expect = Expect::Revision(revision);
        match put(engine, namespace, origin, (&changed, expect)).await {
            Ok(()) => return Ok(changed),
            Err(errand_store::Error::DocumentChanged { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(CallbackProblem::Contended { what: format!("the callback target {origin}") }.into())
}

/// Gives a receiver a new secret, which is never shown again. Reports are signed with it from now
/// on.
///
/// # Errors
///
/// [`CallbackProblem::NoTarget`].
pub async fn rotate(
    engine: &Engine,
    namespace: Option<&str>,
    origin: &str,
) -> Result<(TargetView, SigningSecret), Error> {
    let secret = SigningSecret::generate()?;
    let sealed_secret = seal(engine, &secret)?;
    let with_it =
        |target| Some(CallbackReceiver { sealed_secret: sealed_secret.clone(), ..target });
    let changed = change(engine, namespace, origin, with_it).await?;
    Ok((changed.view(origin), secret))
}

/// Enables a receiver; held reports are due at once.
///
/// # Errors
///
/// [`CallbackProblem::NoTarget`].
pub async fn enable(
    engine: &Engine,
    namespace: Option<&str>,
    origin: &str,
) -> Result<TargetView, Error> {
    let enabled = |target: CallbackReceiver| {
        let (failures, failing_since, disabled) = (0, None, None);
        Some(CallbackReceiver { failures, failing_since, disabled, ..target })
    };
    let changed = change(engine, namespace, origin, enabled).await?;
    let now = engine.now();
    log::each(engine, namespace, |entry: &OutboxEntry| {
        let is_of = CallbackUrl::parse(&entry.url).is_ok_and(|url| url.origin() == origin);
        let freed = OutboxEntry { state: EntryState::Waiting, note: None, ..entry.clone() };
        (is_of && entry.state == EntryState::Held).then_some((freed, Some(now)))
    })
    .await?;
    Ok(changed.view(origin))
}

/// Disables a receiver: its reports wait until it is enabled again.
///
/// # Errors
///
/// [`CallbackProblem::NoTarget`].
pub async fn disable(
    engine: &Engine,
    namespace: Option<&str>,
    origin: &str,
    why: &str,
) -> Result<TargetView, Error> {
    let at = engine.now();
    let changed = change(engine, namespace, origin, |mut target| {
        target.disabled.get_or_insert_with(|| Disabled { at, why: why.to_owned() });
        Some(target)
    });
    Ok(changed.await?.view(origin))
}

/// Removes a receiver and its secret.
///
/// # Errors
///
/// [`CallbackProblem::NoTarget`].
pub async fn remove_target(
    engine: &Engine,
    namespace: Option<&str>,
    origin: &str,
) -> Result<(), Error> {
    let Some((_, revision)) = find(engine, namespace, origin).await? else {
        return Err(CallbackProblem::NoTarget { origin: origin.to_owned() }.into());
    };
    let removal = (Expect::Revision(revision), DocumentChange::Remove);
    let remove = write(DocumentKind::CallbackTarget, namespace, origin.to_owned(), removal);
    Ok(engine.store().write_documents(vec![remove]).await?)
}

/// Lists the receivers of a namespace, by origin.
///
/// # Errors
///
/// If the registry fails.
pub async fn targets(engine: &Engine, namespace: Option<&str>) -> Result<Vec<TargetView>, Error> {
    let found = list(engine, namespace, TARGETS_LIMIT).await?;
    found
        .iter()
        .map(|document| Ok(read::<CallbackReceiver>(document)?.view(&document.key)))
        .collect()
}

async fn list(
    engine: &Engine,
    namespace: Option<&str>,
    limit: u32,
) -> Result<Vec<Document>, Error> {
    let query = DocumentQuery {
        kind: DocumentKind::CallbackTarget,
        namespaces: Namespaces::One(namespace.map(str::to_owned)),
        prefix: String::new(),
        order: DocumentOrder::Ascending,
        after: None,
        limit,
    };
    Ok(engine.store().documents(&query).await?)
}
