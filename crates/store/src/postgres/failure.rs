//! Failures of PostgreSQL, classified by their remedy.

use tokio_postgres::error::SqlState;

use super::Address;
use crate::Error;

/// Error: an operation or a query failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The operation is refused: others in the same transaction are not affected.
    Refused(Error),
    /// The database failed: the transaction is rolled back.
    Database(tokio_postgres::Error),
    /// A journal changed under its lock, which is a bug; or no connection is available.
    Unexpected(&'static str),
}

/// Remedy for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureRemedy {
    /// None: another try would fail the same way.
    None,
    /// Another try on the same connection may succeed.
    Again,
    /// Another try on a new connection may succeed: this one is unusable.
    Reconnect,
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Failure {
    /// Returns the remedy.
    pub(super) fn remedy(&self) -> FailureRemedy {
        match self {
            Self::Refused(_) => FailureRemedy::None,
            Self::Unexpected(_) => FailureRemedy::Reconnect,
            Self::Database(error) => remedy(error),
        }
    }

    /// Returns true if the server refused a number as out of range.
    pub(super) fn is_out_of_range(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unexpected(_) => false,
            Self::Database(error) => error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE),
        }
    }

    /// Converts the failure into the caller's error.
    pub(super) fn explain(self, address: &Address, doing: &'static str) -> Error {
        let remedy = self.remedy();
        match self {
            Self::Refused(error) => error,
            Self::Unexpected(reason) => {
                Error::Unreachable { database: address.to_string(), reason: reason.to_owned() }
            }
            Self::Database(error) => explain(&error, remedy, address, doing),
        }
    }

    /// Creates the error for a further caller of the same transaction.
    pub(super) fn explain_again(&self, address: &Address, doing: &'static str) -> Error {
        match self {
            Self::Refused(_) => Error::WriterGone,
            Self::Unexpected(reason) => {
                Error::Unreachable { database: address.to_string(), reason: (*reason).to_owned() }
            }
            Self::Database(error) if remedy(error) == FailureRemedy::None => {
                Error::Postgres { doing, reason: text(error) }
            }
            Self::Database(error) => {
                Error::Unreachable { database: address.to_string(), reason: text(error) }
            }
        }
    }
}

fn remedy(error: &tokio_postgres::Error) -> FailureRemedy {
    let Some(state) = error.code() else {
        // The server did not report it: the connection broke, or there was none. A row that cannot
        // be decoded is no reason to try again.
        let of_the_caller = error.is_closed() || is_about_the_connection(error);
        return if of_the_caller { FailureRemedy::Reconnect } else { FailureRemedy::None };
    };
    let is_shutting_down = [
        &SqlState::ADMIN_SHUTDOWN,
        &SqlState::CRASH_SHUTDOWN,
        &SqlState::CANNOT_CONNECT_NOW,
        &SqlState::TOO_MANY_CONNECTIONS,
        &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        &SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    let passes = [
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
        &SqlState::LOCK_NOT_AVAILABLE,
        &SqlState::OUT_OF_MEMORY,
        &SqlState::INSUFFICIENT_RESOURCES,
        // A statement was prepared before the schema changed.
        &SqlState::FEATURE_NOT_SUPPORTED,
    ];
    if is_shutting_down.contains(&state) || state.code().starts_with("08") {
        FailureRemedy::Reconnect
    } else if passes.contains(&state) {
        FailureRemedy::Again
    } else {
        FailureRemedy::None
    }
}

/// Returns true if a failure that the server did not report is an I/O error of the connection.
fn is_about_the_connection(error: &tokio_postgres::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<std::io::Error>() {
            return true;
        }
        source = cause.source();
    }
    false
}

fn explain(
    error: &tokio_postgres::Error,
    remedy: FailureRemedy,
    address: &Address,
    doing: &'static str,
) -> Error {
    let reason = text(error);
    let database = address.to_string();
    match (remedy, error.code()) {
        (_, Some(state)) if *state == SqlState::DISK_FULL => Error::Full { path: database.into() },
        (_, Some(state)) if *state == SqlState::READ_ONLY_SQL_TRANSACTION => {
            Error::ReadOnly { path: database.into() }
        }
        (FailureRemedy::None, _) => Error::Postgres { doing, reason },
        (FailureRemedy::Again | FailureRemedy::Reconnect, _) => {
            Error::Unreachable { database, reason }
        }
    }
}

/// Returns the most specific message: the server's, or else the chain of causes.
pub(super) fn text(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} ({})", said.message(), said.code().code());
    }
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    said
}
