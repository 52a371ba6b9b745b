//! The HTTP status of each error code.

use crate::error_code::ErrorCode;

impl ErrorCode {
    /// The HTTP status of an answer with this code.
    #[expect(clippy::too_many_lines, reason = "a line per code")]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Usage
            | Self::RequestInvalid
            | Self::RequestMalformed
            | Self::ParameterInvalid
            | Self::NamespaceInvalid
            | Self::LabelInvalid
            | Self::FilterInvalid
            | Self::StepKeyInvalid
            | Self::EventInvalid
            | Self::SecretNameInvalid
            | Self::SecretValueInvalid => 400,
            Self::TokenInvalid
            | Self::KeyMissing
            | Self::KeyInvalid
            | Self::KeyExpired
            | Self::SignatureInvalid => 401,
            Self::ScopeMissing | Self::OriginRefused => 403,
            Self::RunNotFound
            | Self::AgentNotFound
            | Self::KeyNotFound
            | Self::CallbackNotFound
            | Self::CallbackTargetNotFound
            | Self::HookNotFound
            | Self::ScheduleNotFound
            | Self::PathNotFound
            | Self::DeadLetterNotFound
            | Self::StepNotFound
            | Self::QuestionNotFound
            | Self::ArtifactNotFound
            | Self::BlobNotFound
            | Self::BomNotFound
            | Self::SessionNotFound
            | Self::ParcelNotFound
            | Self::BriefMissing => 404,
            Self::MethodNotAllowed => 405,
            Self::AcceptUnsupported => 406,
            Self::RunAmbiguous
            | Self::RunLive
            | Self::RunNotLive
            | Self::RunUnstoppable
            | Self::RunConflict
            | Self::RunElsewhere
            | Self::RunNotRetryable
            | Self::RunNotPaused
            | Self::WakeRefused
            | Self::RunNotCoordinated
            | Self::ChildRemoved
            | Self::DeadLetterSettled
            | Self::ReplayRefused
            | Self::ReplayEffects
            | Self::IdempotencyConflict
            | Self::AgentConflict
            | Self::KeyConflict
            | Self::CallbackTargetExists
            | Self::ScheduleConflict
            | Self::TooManyDefinitions
            | Self::ChangedMeanwhile
            | Self::HookDisabled
            | Self::QuestionAmbiguous
            | Self::QuestionDecided
            | Self::QuestionExpired
            | Self::DigestMismatch
            | Self::TooManyQuestions
            | Self::NoCoordinator
            | Self::TooManyMessages
            | Self::TooManyHandoffs
            | Self::Fenced
            | Self::TerminalConflict
            | Self::NotInRun
            | Self::StepInProgress
            | Self::StepNotBegun
            | Self::StepChanged
            | Self::StepConflict
            | Self::ReplayDiverged
            | Self::BudgetExceeded
            | Self::SessionMissing
            | Self::SessionConflict
            | Self::SessionBusy
            | Self::ListenAddressInUse
            | Self::SecretMissing
            | Self::SecretStoreMissing
            | Self::SecretIdentityMissing
            | Self::SecretIdentityInvalid
            | Self::SecretIdentityMismatch
            | Self::SecretDamaged => 409,
            Self::PayloadTooLarge
            | Self::RequestTooLarge
            | Self::ParcelTooLarge
            | Self::CheckpointTooLarge
            | Self::OutputTooLarge => 413,
            Self::ContentTypeUnsupported => 415,
            Self::HostRefused => 421,
            Self::RateLimited => 429,
            Self::AgentFileInvalid
            | Self::AgentFileMissing
            | Self::AgentUnsupported
            | Self::NestingTooDeep
            | Self::SchemaInvalid
            | Self::PayloadUnreadable
            | Self::InputInvalid
            | Self::CronInvalid
            | Self::TimeZoneInvalid
            | Self::ListenAddressInvalid
            | Self::ListenUnsafe
            | Self::EnvInvalid
            | Self::NameInvalid
            | Self::BudgetInvalid
            | Self::PriceTableInvalid
            | Self::ParcelInvalid
            | Self::ParcelSymlinkEscapes
            | Self::ParcelCredentials
            | Self::ParcelIncomplete
            | Self::ParcelFileUnsupported
            | Self::ServerUrlInvalid
            | Self::ContextNotFound
            | Self::ContextInvalid
            | Self::OnlyLocal
            | Self::AnswerInvalid
            | Self::MessageTargetInvalid
            | Self::HandoffInvalid
            | Self::ArtifactInvalid
            | Self::OutputInvalid
            | Self::SecretExposed
            | Self::CommandNotFound
            | Self::CommandNotExecutable
            | Self::KeyNotMade
            | Self::CallbackRefused
            | Self::HookInvalid
            | Self::HookRejected
            | Self::ScheduleInvalid
            | Self::ListenOpen
            | Self::TlsInvalid
            | Self::ConfigInvalid
            | Self::ArchiveInvalid
            | Self::ArchiveDamaged
            | Self::ArchiveNewer => 422,
            Self::NotAvailableYet => 501,
            Self::RangeUnsatisfiable => 416,
            Self::AgentApiUnreachable
            | Self::ServerUnreachable
            | Self::NotAServer
            | Self::ServerNewer => 502,
            Self::RegistryBusy
            | Self::RegistryReadOnly
            | Self::DatabaseUnreachable
            | Self::DiskFull
            | Self::ShuttingDown
            | Self::SupervisorStopped => 503,
            Self::WaitTimedOut => 504,
            Self::RegistryNotFound
            | Self::RegistryForeign
            | Self::RegistryNewer
            | Self::RegistryDamaged
            | Self::RegistryElsewhere
            | Self::DatabaseUrlInvalid
            | Self::DatabaseNotMigrated
            | Self::DatabaseNewer
            | Self::DatabaseFailed
            | Self::RecordDamaged
            | Self::RecordForeign
            | Self::IoFailed
            | Self::ParcelSourceChanged
            | Self::ParcelDamaged
            | Self::WorkspaceFailed
            | Self::SpawnFailed
            | Self::LauncherDied
            | Self::ExitNonzero
            | Self::ChildFailed
            | Self::ChildCancelled
            | Self::MappingFailed
            | Self::HandedOver
            | Self::WorkflowStalled
            | Self::FanOutFailed
            | Self::NoMajority
            | Self::TooManyRuns
            | Self::TooManyChildren
            | Self::AgentFailed
            | Self::KilledBySignal
            | Self::OutOfMemory
            | Self::TimeoutRun
            | Self::TimeoutStep
            | Self::TimeoutQueue
            | Self::TimeoutApproval
            | Self::HelperDied
            | Self::LeaseLost
            | Self::Stopped
            | Self::Superseded
            | Self::Interrupted
            | Self::JournalBroken
            | Self::Internal => 500,
        }
    }
}
