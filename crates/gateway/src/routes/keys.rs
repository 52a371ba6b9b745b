//! `/v1/keys`: the API keys of the caller's namespace.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use errand_api::error_code::ErrorCode;
use errand_api::gateway::access::{KeyList, KeyRecord, KeyRequest, NewKey};
use errand_engine::keys::{self, Error, Key};
use errand_model::DEFAULT_NAMESPACE;

use crate::Gateway;
use crate::auth::Caller;
use crate::extract::{JsonBody, Params};
use crate::refusal::Refusal;

/// `GET`: lists all keys.
pub(crate) async fn list_keys(
    State(gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<KeyList>, Refusal> {
    let found = keys::list(gateway.engine(), Some(&caller.namespace)).await?;
    Ok(Json(KeyList { keys: found.into_iter().map(record).collect() }))
}

/// `POST`: creates a key. A key can only pass on its own scopes.
pub(crate) async fn create_key(
    State(gateway): State<Gateway>,
    caller: Caller,
    JsonBody(request): JsonBody<KeyRequest>,
) -> Result<(StatusCode, Json<NewKey>), Refusal> {
    let scopes: BTreeSet<_> = request.scopes.into_iter().collect();
    for scope in &scopes {
        caller.must(*scope, "to give it to another key")?;
    }
    let new = keys::CreatedKey {
        name: request.name,
        namespace: caller.namespace.clone(),
        scopes,
        lasts: request.expires_in_seconds.map(Duration::from_secs),
    };
    let created = keys::create(gateway.engine(), new, &caller.actor()).await?;
    let shown = NewKey { key: created.text.reveal(), record: record(created.key) };
    Ok((StatusCode::CREATED, Json(shown)))
}

/// `DELETE`: revokes a key.
pub(crate) async fn revoke_key(
    State(gateway): State<Gateway>,
    caller: Caller,
    params: Params,
) -> Result<Json<KeyRecord>, Refusal> {
    let (which, namespace) = (params.get("key")?, Some(&caller.namespace));
    let revoked = keys::revoke(gateway.engine(), which, namespace, &caller.actor()).await?;
    Ok(Json(record(revoked)))
}

fn record(key: Key) -> KeyRecord {
    KeyRecord {
        public: key.public,
        name: key.name,
        namespace: key.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
        scopes: key.scopes.into_iter().collect(),
        created_at_ms: key.created_at.as_millis(),
        expires_at_ms: key.expires_at.map(errand_model::Timestamp::as_millis),
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Store(error) => error.into(),
            Error::Randomness(error) => error.into(),
            Error::Name { .. } => Self::field(ErrorCode::KeyNotMade, "/name", text),
            Error::NoScope => Self::field(ErrorCode::KeyNotMade, "/scopes", text),
            Error::Expired => Self::field(ErrorCode::KeyNotMade, "/expires_in_seconds", text),
            Error::TooMany => Self::new(ErrorCode::KeyNotMade, text),
            Error::NameTaken { .. } => Self::field(ErrorCode::KeyConflict, "/name", text),
            Error::NotFound { .. } => Self::new(ErrorCode::KeyNotFound, text),
            Error::Damaged { .. } => {
                tracing::error!("API keys cannot be read: {text}");
                Self::new(ErrorCode::Internal, "the server cannot read its API keys")
            }
        }
    }
}
