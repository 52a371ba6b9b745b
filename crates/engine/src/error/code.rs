//! Stable codes of errors of other crates, decided here once for the command line and the gateway.

use errand_agent::model_door::ModelDoorError;
use errand_api::error_code::ErrorCode;
use errand_model::draft::DraftError;
use errand_model::event::NotReportable;
use errand_model::inherit::NotInheritable;
use errand_model::replay::NotReplayable;
use errand_model::run::Rejection;
use errand_model::schedule::InvalidSchedule;
use errand_model::step::StepRefused;
use errand_store::Error as StoreError;

use super::CodedError;

impl CodedError for StoreError {
    fn code(&self) -> ErrorCode {
        if is_full_disk(self) { ErrorCode::DiskFull } else { of_store(self) }
    }

    fn store(&self) -> Option<&StoreError> {
        Some(self)
    }
}

impl CodedError for Rejection {
    fn code(&self) -> ErrorCode {
        of_rejection(self)
    }

    fn rejection(&self) -> Option<&Rejection> {
        Some(self)
    }
}

impl CodedError for DraftError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Rejected(rejection) => of_rejection(rejection),
            Self::Illegal(_) => ErrorCode::Internal,
        }
    }

    fn rejection(&self) -> Option<&Rejection> {
        if let Self::Rejected(rejection) = self { Some(rejection) } else { None }
    }
}

impl CodedError for errand_agent::parcel::Error {
    fn code(&self) -> ErrorCode {
        if is_full_disk(self) { ErrorCode::DiskFull } else { self.code() }
    }
}

impl CodedError for errand_agent::secret::Error {
    fn code(&self) -> ErrorCode {
        if is_full_disk(self) { ErrorCode::DiskFull } else { self.code() }
    }
}

impl CodedError for ModelDoorError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Pointer { .. } => ErrorCode::AgentFileInvalid,
            Self::BaseUrl { .. } | Self::Key { .. } => ErrorCode::ProviderInvalid,
            Self::ToolServer { .. } => ErrorCode::ToolServerInvalid,
            Self::ToolProgram { .. } => ErrorCode::ToolServerFailed,
            Self::Listen(source) => ErrorCode::of_io(source),
        }
    }
}

impl CodedError for errand_agent::workspace::Error {
    fn code(&self) -> ErrorCode {
        if is_full_disk(self) { ErrorCode::DiskFull } else { ErrorCode::WorkspaceFailed }
    }
}

impl CodedError for StepRefused {
    fn code(&self) -> ErrorCode {
        ErrorCode::Internal
    }
}

impl CodedError for NotReportable {
    fn code(&self) -> ErrorCode {
        ErrorCode::Internal
    }
}

impl CodedError for InvalidSchedule {
    fn code(&self) -> ErrorCode {
        match self {
            Self::TimeZone { .. } => ErrorCode::TimeZoneInvalid,
            Self::Expression(_) => ErrorCode::CronInvalid,
        }
    }
}

impl CodedError for NotInheritable {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Step { .. } => ErrorCode::StepNotFound,
            Self::Unknown(_) => ErrorCode::RegistryNewer,
        }
    }
}

impl CodedError for NotReplayable {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Live { .. } => ErrorCode::RunLive,
            Self::Service { .. }
            | Self::Coordinator { .. }
            | Self::AnswersNotKept { .. }
            | Self::Stopped { .. } => ErrorCode::ReplayRefused,
            Self::Unknown(_) => ErrorCode::RegistryNewer,
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
        StoreError::BlobPlace { fault, .. } => fault.code(),
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
