//! `errand keys`: API keys of a server. Works on the registry itself, even while no server runs.

mod create;
mod ls;
mod revoke;

use clap::Subcommand;
use errand_api::error_code::ErrorCode;
use errand_engine::keys::{Error, Key};
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key, and print it: the only time that it is shown
    Create(create::Args),
    /// List keys; their secret parts are not kept
    Ls(ls::Args),
    /// Take keys back; servers refuse them within seconds
    Revoke(revoke::Args),
}

impl Command {
    /// Returns the command that lists all of them.
    pub(super) fn ls(json: bool) -> Self {
        Self::Ls(ls::Args::all(json))
    }
}

/// Executes a subcommand.
pub(crate) async fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Create(args) => create::run(context, args).await,
        Command::Ls(args) => ls::run(context, args).await,
        Command::Revoke(args) => revoke::run(context, args).await,
    }
}

/// Returns a key as JSON.
fn document(key: &Key) -> Value {
    json!({
        "public": key.public,
        "name": key.name,
        "namespace": key.namespace.as_deref().unwrap_or(errand_model::DEFAULT_NAMESPACE),
        "scopes": key.scopes,
        "created_at_ms": key.created_at,
        "expires_at_ms": key.expires_at,
    })
}

/// Parses a namespace.
fn namespace(text: &str) -> Result<Option<String>, Failure> {
    errand_model::parse_namespace(text)
        .map_err(|error| Failure::new(ErrorCode::NamespaceInvalid, error.to_string()))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Store(error) => error.into(),
            Error::Randomness(error) => error.into(),
            Error::Name { .. } | Error::NoScope | Error::Expired | Error::TooMany => {
                Self::new(ErrorCode::KeyNotMade, text)
            }
            Error::NameTaken { .. } => Self::new(ErrorCode::KeyConflict, text)
                .hint("use another --name, or take the other one back with `errand keys revoke`"),
            Error::NotFound { .. } => {
                Self::new(ErrorCode::KeyNotFound, text).hint("`errand keys ls` lists all keys")
            }
            Error::Damaged { .. } => Self::new(ErrorCode::RegistryDamaged, text),
        }
    }
}
