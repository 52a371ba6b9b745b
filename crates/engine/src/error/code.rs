//! The stable code of every error of the engine, decided here once for the command line and the
//! gateway.

use errand_api::error_code::ErrorCode;
use errand_model::inherit::NotInheritable;
use errand_model::replay::NotReplayable;
use errand_model::run::Rejection;
use errand_store::Error as StoreError;

use crate::Error;
use crate::export::FileError;

impl Error {
    /// Returns the stable code. A full disk has its own, in every operation.
    pub fn code(&self) -> ErrorCode {
        if is_full_disk(self) { ErrorCode::DiskFull } else { self.own_code() }
    }

    fn own_code(&self) -> ErrorCode {
        match self {
            Self::Store(error) => of_store(error),
            Self::Parcel(error) => error.code(),
            Self::Secret(error) => error.code(),
            Self::Listener(error) => error.code(),
            Self::Agents(error) => error.code(),
            Self::Member { source, .. } => source.code(),
            Self::NestedTooDeep { .. } => ErrorCode::NestingTooDeep,
            Self::Outbox(error) => error.code(),
            Self::Schedules(error) => error.code(),
            Self::Hooks(error) => error.code(),
            Self::Rejected(rejection) => of_rejection(rejection),
            Self::Prices(_) => ErrorCode::PriceTableInvalid,
            Self::InputSchema { .. } => ErrorCode::InputInvalid,
            Self::Schema { .. } => ErrorCode::SchemaInvalid,
            Self::Unsupported { .. } => ErrorCode::AgentUnsupported,
            Self::CommandNotFound { .. } => ErrorCode::CommandNotFound,
            Self::CommandNotExecutable { .. } => ErrorCode::CommandNotExecutable,
            Self::AwaitsSecrets { .. } => ErrorCode::SecretMissing,
            Self::SecretExposed { .. } => ErrorCode::SecretExposed,
            Self::NotRetryable { .. } => ErrorCode::RunNotRetryable,
            Self::InUse { .. } => ErrorCode::RegistryBusy,
            Self::Inherit(NotInheritable::Step { .. }) => ErrorCode::StepNotFound,
            Self::NotReplayable(NotReplayable::Live { .. })
            | Self::Live { .. }
            | Self::StillLive { .. } => ErrorCode::RunLive,
            Self::NotReplayable(
                NotReplayable::Service { .. }
                | NotReplayable::Coordinator { .. }
                | NotReplayable::Stopped { .. },
            ) => ErrorCode::ReplayRefused,
            Self::Inherit(NotInheritable::Unknown(_))
            | Self::NotReplayable(NotReplayable::Unknown(_)) => ErrorCode::RegistryNewer,
            Self::ReplayEffects { .. } => ErrorCode::ReplayEffects,
            Self::Workspace(_) => ErrorCode::WorkspaceFailed,
            Self::Schedule(_) => ErrorCode::CronInvalid,
            Self::Elsewhere { .. } => ErrorCode::RunElsewhere,
            Self::Payload { .. } => ErrorCode::PayloadUnreadable,
            Self::Io { source, .. } => ErrorCode::of_io(source),
            Self::JournalLost { source } if source.code() == ErrorCode::DiskFull => {
                ErrorCode::DiskFull
            }
            Self::Closed | Self::JournalLost { .. } => ErrorCode::Fenced,
            Self::Blob(_)
            | Self::Step(_)
            | Self::Report(_)
            | Self::Fold(_)
            | Self::Helper { .. }
            | Self::Randomness { .. } => ErrorCode::Internal,
            Self::LeaseOver { .. } => ErrorCode::LeaseLost,
            Self::NotCoordinated { .. } => ErrorCode::RunNotCoordinated,
            Self::ChildRemoved { .. } => ErrorCode::ChildRemoved,
        }
    }
}

/// Returns true if an error, or one of its causes, is a full disk or a used-up quota.
pub(crate) fn is_full_disk(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| ErrorCode::of_io(io) == ErrorCode::DiskFull)
            || matches!(error.downcast_ref(), Some(StoreError::Full { .. }))
        {
            return true;
        }
        next = error.source();
    }
    false
}

/// Returns the stable code of an error of the store.
pub fn of_store(error: &StoreError) -> ErrorCode {
    match error {
        StoreError::NoRun { .. } => ErrorCode::RunNotFound,
        StoreError::Fenced { .. }
        | StoreError::Conflict { .. }
        | StoreError::DocumentChanged { .. } => ErrorCode::Fenced,
        StoreError::Sealed { .. } => ErrorCode::RunNotLive,
        StoreError::Live { .. } => ErrorCode::RunLive,
        StoreError::IdempotencyConflict { .. } => ErrorCode::IdempotencyConflict,
        StoreError::OtherJournal { .. } => ErrorCode::RunConflict,
        StoreError::NoDeadLetter { .. } => ErrorCode::DeadLetterNotFound,
        StoreError::Settled { .. } => ErrorCode::DeadLetterSettled,
        StoreError::Revision { .. } => ErrorCode::SessionConflict,
        StoreError::SessionBusy { .. } | StoreError::SessionInUse { .. } => ErrorCode::SessionBusy,
        StoreError::Damaged { .. } => ErrorCode::RecordDamaged,
        StoreError::Newer { .. } => ErrorCode::RegistryNewer,
        StoreError::Elsewhere { .. } => ErrorCode::RegistryElsewhere,
        StoreError::Corrupt { .. } | StoreError::Lost { .. } => ErrorCode::RegistryDamaged,
        StoreError::Missing { .. } => ErrorCode::RegistryNotFound,
        StoreError::Beside(_) => ErrorCode::RecordForeign,
        StoreError::Full { .. } => ErrorCode::DiskFull,
        StoreError::ReadOnly { .. } => ErrorCode::RegistryReadOnly,
        StoreError::Busy { .. } => ErrorCode::RegistryBusy,
        StoreError::File { source, .. } => ErrorCode::of_io(source),
        StoreError::Address { .. } => ErrorCode::DatabaseUrlInvalid,
        StoreError::OtherSchema { found, known } if found < known => ErrorCode::DatabaseNotMigrated,
        StoreError::OtherSchema { .. } => ErrorCode::DatabaseNewer,
        StoreError::Unreachable { .. } => ErrorCode::DatabaseUnreachable,
        StoreError::Postgres { .. } => ErrorCode::DatabaseFailed,
        StoreError::Database { .. } | StoreError::WriterGone => ErrorCode::Internal,
    }
}

/// Returns the stable code of a refusal of the model.
fn of_rejection(rejection: &Rejection) -> ErrorCode {
    match rejection {
        Rejection::BudgetSpent { .. } => ErrorCode::BudgetExceeded,
        Rejection::NoSuchLimit { .. } | Rejection::NotRaised { .. } => ErrorCode::BudgetInvalid,
        Rejection::Terminal { .. } => ErrorCode::RunNotLive,
        Rejection::NotPaused { .. } => ErrorCode::RunNotPaused,
        Rejection::NotWoken { .. } => ErrorCode::WakeRefused,
        Rejection::NoneAsked { .. } | Rejection::NotAsked { .. } => ErrorCode::QuestionNotFound,
        Rejection::Several { .. } => ErrorCode::QuestionAmbiguous,
        Rejection::Decided { .. } => ErrorCode::QuestionDecided,
        Rejection::Expired { .. } => ErrorCode::QuestionExpired,
        Rejection::OtherDigest { .. } => ErrorCode::DigestMismatch,
        Rejection::AnswerInvalid { .. } => ErrorCode::AnswerInvalid,
        Rejection::Stale { .. }
        | Rejection::Fenced { .. }
        | Rejection::NotNow { .. }
        | Rejection::NotAService { .. }
        | Rejection::TooManyQuestions { .. } => ErrorCode::Fenced,
    }
}

impl FileError {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Io(error) | Self::Unopened { source: error, .. } => ErrorCode::of_io(error),
            Self::Foreign { .. } => ErrorCode::ArchiveInvalid,
            Self::Damaged { .. } => ErrorCode::ArchiveDamaged,
            Self::Newer { .. } => ErrorCode::ArchiveNewer,
            Self::Tampered { .. } => ErrorCode::JournalBroken,
            Self::Live { .. } => ErrorCode::RunLive,
            Self::Stray { .. } => ErrorCode::RegistryDamaged,
            Self::Engine(error) => error.code(),
        }
    }
}
