//! Definitions with a name that users choose within a namespace: schedules and hooks, as documents.
//!
//! A change is read, made and written until no other process changed the document in between.

use std::fmt;

use errand_api::error_code::ErrorCode;
use errand_model::Timestamp;
use errand_store::{
    Document, DocumentChange, DocumentKind, DocumentOrder, DocumentQuery, DocumentWrite, Expect,
    Namespaces,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::documents::read;
use crate::error::CodedError;
use crate::{Engine, Error as EngineError};

/// Most definitions of one kind in one namespace.
const LIMIT: u32 = 1_000;
/// Tries of a change that collides with changes by others.
pub(crate) const TRIES: usize = 16;

/// A namespace (`None`: the default one), and a name in it.
pub(crate) type DefinitionKey<'a> = (Option<&'a str>, &'a str);

/// A definition, as stored.
pub(crate) trait Definition: Serialize + DeserializeOwned + Send + Sync {
    /// Kind of definition.
    const KIND: DefinitionKind;

    /// Returns the next time at which the server handles the definition; `None`: never.
    fn due_at(&self) -> Option<Timestamp>;
}

/// Kind of definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefinitionKind {
    /// Slots of time that fire runs.
    Schedule,
    /// Requests from outside that fire runs.
    Hook,
}

impl DefinitionKind {
    const fn of_document(self) -> DocumentKind {
        match self {
            Self::Schedule => DocumentKind::Schedule,
            Self::Hook => DocumentKind::Hook,
        }
    }
}

impl fmt::Display for DefinitionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.of_document().word())
    }
}

/// Error: a definition cannot be made, changed or found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// A field is wrong.
    #[error("{reason}")]
    Invalid {
        /// Kind of definition.
        kind: DefinitionKind,
        /// JSON pointer to the field.
        pointer: String,
        /// Reason in words.
        reason: String,
    },
    /// A schedule of that name exists, and the request does not replace it.
    #[error("there is a schedule {name} already")]
    ScheduleExists {
        /// The name.
        name: String,
    },
    /// No definition of that name exists.
    #[error("there is no {kind} {name}")]
    NotFound {
        /// Kind of definition.
        kind: DefinitionKind,
        /// Name that was given.
        name: String,
    },
    /// The namespace has the most definitions of that kind that it may have.
    #[error("the namespace has {LIMIT} {kind}s already, and may not have more")]
    TooMany {
        /// Kind of definition.
        kind: DefinitionKind,
    },
    /// Other processes changed the definition at the same time, on every try.
    #[error("the {kind} {name} is being changed by others")]
    Contended {
        /// Kind of definition.
        kind: DefinitionKind,
        /// Name of the definition.
        name: String,
    },
}

impl Error {
    /// Returns the error of a wrong field.
    pub(crate) fn invalid<T: Definition>(pointer: impl Into<String>, reason: String) -> Self {
        Self::Invalid { kind: T::KIND, pointer: pointer.into(), reason }
    }

    /// Returns the JSON pointer of the wrong field.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Invalid { pointer, .. } => Some(pointer),
            Self::ScheduleExists { .. } => Some("/name"),
            Self::NotFound { .. } | Self::TooMany { .. } | Self::Contended { .. } => None,
        }
    }
}

impl CodedError for Error {
    fn code(&self) -> ErrorCode {
        use DefinitionKind::{Hook, Schedule};
        match self {
            Self::Invalid { kind: Schedule, .. } => ErrorCode::ScheduleInvalid,
            Self::Invalid { kind: Hook, .. } => ErrorCode::HookInvalid,
            Self::ScheduleExists { .. } => ErrorCode::ScheduleConflict,
            Self::NotFound { kind: Schedule, .. } => ErrorCode::ScheduleNotFound,
            Self::NotFound { kind: Hook, .. } => ErrorCode::HookNotFound,
            Self::TooMany { .. } => ErrorCode::TooManyDefinitions,
            Self::Contended { .. } => ErrorCode::ChangedMeanwhile,
        }
    }
}

/// Returns true if a text can be a name: 1 to 63 of `a-z 0-9 - _ .`, beginning with a letter or
/// digit.
pub(crate) fn is_name(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= 63
        && text.bytes().next().is_some_and(is_plain)
        && text.bytes().all(|b| is_plain(b) || matches!(b, b'-' | b'_' | b'.'))
}

/// Returns true if another process changed the document first.
pub(crate) fn is_changed(error: &impl CodedError) -> bool {
    matches!(error.store(), Some(errand_store::Error::DocumentChanged { .. }))
}

/// Returns the write of a document.
pub(crate) fn put(
    (kind, namespace, key): (DocumentKind, Option<&str>, String),
    body: &impl Serialize,
    expect: Expect,
    due_at: Option<Timestamp>,
) -> DocumentWrite {
    let body = serde_json::to_value(body).unwrap_or_default();
    let change = DocumentChange::Put { body, due_at };
    DocumentWrite { kind, namespace: namespace.map(str::to_owned), key, expect, change }
}

/// Returns the write of a definition, for a commit.
pub(crate) fn to_write<T: Definition>(
    (namespace, name): DefinitionKey<'_>,
    definition: &T,
    expect: Expect,
) -> DocumentWrite {
    let key = (T::KIND.of_document(), namespace, name.to_owned());
    put(key, definition, expect, definition.due_at())
}

/// Writes a definition. Returns false if another process changed it first.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn save<T: Definition>(
    engine: &Engine,
    place: DefinitionKey<'_>,
    definition: &T,
    expect: Expect,
) -> Result<bool, EngineError> {
    write(engine, to_write(place, definition, expect)).await
}

async fn write(engine: &Engine, write: DocumentWrite) -> Result<bool, EngineError> {
    match engine.store().write_documents(vec![write]).await {
        Ok(()) => Ok(true),
        Err(errand_store::Error::DocumentChanged { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn find<T: Definition>(
    engine: &Engine,
    (namespace, name): DefinitionKey<'_>,
) -> Result<Option<(T, u64)>, EngineError> {
    let found = engine.store().document(T::KIND.of_document(), namespace, name).await?;
    found.map(|document| Ok((read(&document)?, document.revision))).transpose()
}

/// Returns a definition and its revision.
///
/// # Errors
///
/// [`Error::NotFound`].
pub(crate) async fn load<T: Definition>(
    engine: &Engine,
    place: DefinitionKey<'_>,
) -> Result<(T, u64), EngineError> {
    find(engine, place).await?.ok_or_else(|| not_found::<T>(place.1))
}

/// Returns the error: there is no definition of that name.
pub(crate) fn not_found<T: Definition>(name: &str) -> EngineError {
    Error::NotFound { kind: T::KIND, name: name.to_owned() }.into()
}

/// Returns the error: others changed the definition on every try.
pub(crate) fn contended<T: Definition>(name: &str) -> EngineError {
    Error::Contended { kind: T::KIND, name: name.to_owned() }.into()
}

/// Lists the definitions of a namespace by name: those after `after`, at most `limit`.
///
/// # Errors
///
/// If the registry fails.
pub(crate) async fn list<T: Definition>(
    engine: &Engine,
    namespace: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<(String, T)>, EngineError> {
    let found = documents::<T>(engine, namespace, after, limit).await?;
    found.into_iter().map(|document| Ok((document.key.clone(), read(&document)?))).collect()
}

async fn documents<T: Definition>(
    engine: &Engine,
    namespace: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Document>, EngineError> {
    let namespace = namespace.map(str::to_owned);
    let query = DocumentQuery {
        kind: T::KIND.of_document(),
        namespaces: Namespaces::One(namespace.clone()),
        prefix: String::new(),
        order: DocumentOrder::Ascending,
        after: after.map(|after| (namespace, after.to_owned())),
        limit,
    };
    Ok(engine.store().documents(&query).await?)
}

/// Makes or changes a definition: `change` gets the stored one, if there is one, and may be called
/// several times. Returns the new one, and true if there was none before.
///
/// # Errors
///
/// Errors of `change`; [`Error::TooMany`], [`Error::Contended`]. Nothing changed then.
pub(crate) async fn change<T: Definition>(
    engine: &Engine,
    place: DefinitionKey<'_>,
    mut change: impl FnMut(Option<T>) -> Result<T, EngineError> + Send,
) -> Result<(T, bool), EngineError> {
    for _ in 0..TRIES {
        let found = find(engine, place).await?;
        let expect = match &found {
            Some((_, revision)) => Expect::Revision(*revision),
            None => Expect::Absent,
        };
        let changed = change(found.map(|(before, _)| before))?;
        let is_new = expect == Expect::Absent;
        if is_new {
            let known = documents::<T>(engine, place.0, None, LIMIT).await?.len();
            if u32::try_from(known).unwrap_or(u32::MAX) >= LIMIT {
                return Err(Error::TooMany { kind: T::KIND }.into());
            }
        }
        if save(engine, place, &changed, expect).await? {
            return Ok((changed, is_new));
        }
    }
    Err(contended::<T>(place.1))
}

/// Removes a definition. The runs that it fired stay.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::Contended`].
pub(crate) async fn remove<T: Definition>(
    engine: &Engine,
    place: DefinitionKey<'_>,
) -> Result<(), EngineError> {
    let (namespace, name) = place;
    for _ in 0..TRIES {
        let (_, revision) = load::<T>(engine, place).await?;
        let remove = DocumentWrite {
            kind: T::KIND.of_document(),
            namespace: namespace.map(str::to_owned),
            key: name.to_owned(),
            expect: Expect::Revision(revision),
            change: DocumentChange::Remove,
        };
        if write(engine, remove).await? {
            return Ok(());
        }
    }
    Err(contended::<T>(name))
}
