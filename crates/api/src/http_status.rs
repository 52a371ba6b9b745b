//! HTTP status of each error code.

use crate::error_code::ErrorCode;

/// Returns the HTTP status of an answer with that code.
#[expect(clippy::too_many_lines, reason = "a line per code")]
pub const fn of(code: ErrorCode) -> u16 {
    match code {
        ErrorCode::Usage
        | ErrorCode::RequestInvalid
        | ErrorCode::RequestMalformed
        | ErrorCode::ParameterInvalid
        | ErrorCode::NamespaceInvalid
        | ErrorCode::LabelInvalid
        | ErrorCode::FilterInvalid
        | ErrorCode::StepKeyInvalid
        | ErrorCode::EventInvalid
        | ErrorCode::SecretNameInvalid
        | ErrorCode::SecretValueInvalid => 400,
        ErrorCode::TokenInvalid
        | ErrorCode::KeyMissing
        | ErrorCode::KeyInvalid
        | ErrorCode::KeyExpired
        | ErrorCode::SignatureInvalid => 401,
        ErrorCode::ScopeMissing | ErrorCode::OriginRefused | ErrorCode::PolicyDenied => 403,
        ErrorCode::RunNotFound
        | ErrorCode::AgentNotFound
        | ErrorCode::KeyNotFound
        | ErrorCode::CallbackNotFound
        | ErrorCode::CallbackTargetNotFound
        | ErrorCode::HookNotFound
        | ErrorCode::TaskNotFound
        | ErrorCode::ScheduleNotFound
        | ErrorCode::DefinitionNotFound
        | ErrorCode::PathNotFound
        | ErrorCode::DeadLetterNotFound
        | ErrorCode::StepNotFound
        | ErrorCode::QuestionNotFound
        | ErrorCode::ArtifactNotFound
        | ErrorCode::BlobNotFound
        | ErrorCode::BomNotFound
        | ErrorCode::SessionNotFound
        | ErrorCode::ParcelNotFound
        | ErrorCode::BriefMissing => 404,
        ErrorCode::MethodNotAllowed => 405,
        ErrorCode::AcceptUnsupported => 406,
        ErrorCode::RunAmbiguous
        | ErrorCode::RunLive
        | ErrorCode::RunNotLive
        | ErrorCode::RunUnstoppable
        | ErrorCode::RunConflict
        | ErrorCode::RunElsewhere
        | ErrorCode::RunNotRetryable
        | ErrorCode::RunNotPaused
        | ErrorCode::WakeRefused
        | ErrorCode::RunNotCoordinated
        | ErrorCode::ChildRemoved
        | ErrorCode::DeadLetterSettled
        | ErrorCode::ReplayRefused
        | ErrorCode::ReplayEffects
        | ErrorCode::IdempotencyConflict
        | ErrorCode::AgentConflict
        | ErrorCode::KeyConflict
        | ErrorCode::CallbackTargetExists
        | ErrorCode::ScheduleConflict
        | ErrorCode::TaskConflict
        | ErrorCode::DefinitionInUse
        | ErrorCode::DefinitionReadOnly
        | ErrorCode::TooManyDefinitions
        | ErrorCode::ChangedMeanwhile
        | ErrorCode::HookDisabled
        | ErrorCode::QuestionAmbiguous
        | ErrorCode::QuestionDecided
        | ErrorCode::QuestionExpired
        | ErrorCode::DigestMismatch
        | ErrorCode::TooManyQuestions
        | ErrorCode::NoCoordinator
        | ErrorCode::TooManyMessages
        | ErrorCode::TooManyHandoffs
        | ErrorCode::Fenced
        | ErrorCode::TerminalConflict
        | ErrorCode::NotInRun
        | ErrorCode::StepInProgress
        | ErrorCode::StepNotBegun
        | ErrorCode::StepChanged
        | ErrorCode::StepConflict
        | ErrorCode::ReplayDiverged
        | ErrorCode::BudgetExceeded
        | ErrorCode::ModelUnpriced
        | ErrorCode::ApprovalPending
        | ErrorCode::PolicyInvalid
        | ErrorCode::SessionMissing
        | ErrorCode::SessionConflict
        | ErrorCode::SessionBusy
        | ErrorCode::ListenAddressInUse
        | ErrorCode::SecretMissing
        | ErrorCode::SecretStoreMissing
        | ErrorCode::SecretIdentityMissing
        | ErrorCode::SecretIdentityInvalid
        | ErrorCode::SecretIdentityMismatch
        | ErrorCode::SecretDamaged => 409,
        ErrorCode::PayloadTooLarge
        | ErrorCode::RequestTooLarge
        | ErrorCode::ParcelTooLarge
        | ErrorCode::CheckpointTooLarge
        | ErrorCode::OutputTooLarge
        | ErrorCode::ModelRequestTooLarge
        | ErrorCode::BriefTooLarge => 413,
        ErrorCode::ContentTypeUnsupported => 415,
        ErrorCode::HostRefused => 421,
        ErrorCode::RateLimited => 429,
        ErrorCode::AgentFileInvalid
        | ErrorCode::AgentFileMissing
        | ErrorCode::AgentUnsupported
        | ErrorCode::NestingTooDeep
        | ErrorCode::SchemaInvalid
        | ErrorCode::PayloadUnreadable
        | ErrorCode::InputInvalid
        | ErrorCode::CronInvalid
        | ErrorCode::TimeZoneInvalid
        | ErrorCode::ListenAddressInvalid
        | ErrorCode::ListenUnsafe
        | ErrorCode::EnvInvalid
        | ErrorCode::NameInvalid
        | ErrorCode::BudgetInvalid
        | ErrorCode::PriceTableInvalid
        | ErrorCode::ProviderInvalid
        | ErrorCode::ToolServerInvalid
        | ErrorCode::ModelRequestInvalid
        | ErrorCode::ParcelInvalid
        | ErrorCode::ParcelSymlinkEscapes
        | ErrorCode::ParcelCredentials
        | ErrorCode::ParcelIncomplete
        | ErrorCode::ParcelFileUnsupported
        | ErrorCode::ServerUrlInvalid
        | ErrorCode::ContextNotFound
        | ErrorCode::ContextInvalid
        | ErrorCode::OnlyLocal
        | ErrorCode::AnswerInvalid
        | ErrorCode::MessageTargetInvalid
        | ErrorCode::HandoffInvalid
        | ErrorCode::ArtifactInvalid
        | ErrorCode::OutputInvalid
        | ErrorCode::SecretExposed
        | ErrorCode::CommandNotFound
        | ErrorCode::CommandNotExecutable
        | ErrorCode::KeyNotMade
        | ErrorCode::CallbackRefused
        | ErrorCode::HookInvalid
        | ErrorCode::HookRejected
        | ErrorCode::ScheduleInvalid
        | ErrorCode::ManifestInvalid
        | ErrorCode::BriefAssemblyFailed
        | ErrorCode::DependencyMissing
        | ErrorCode::ModelRouteMismatch
        | ErrorCode::ListenOpen
        | ErrorCode::TlsInvalid
        | ErrorCode::ConfigInvalid
        | ErrorCode::ArchiveInvalid
        | ErrorCode::ArchiveDamaged
        | ErrorCode::ArchiveNewer => 422,
        ErrorCode::NotAvailableYet => 501,
        ErrorCode::RangeUnsatisfiable => 416,
        ErrorCode::AgentApiUnreachable
        | ErrorCode::ServerUnreachable
        | ErrorCode::NotAServer
        | ErrorCode::ServerNewer => 502,
        ErrorCode::RegistryBusy
        | ErrorCode::RegistryReadOnly
        | ErrorCode::DatabaseUnreachable
        | ErrorCode::BlobsFolderMissing
        | ErrorCode::BlobsUnreachable
        | ErrorCode::BlobsUploadCut
        | ErrorCode::DiskFull
        | ErrorCode::DependencyUnhealthy
        | ErrorCode::ShuttingDown
        | ErrorCode::SupervisorStopped => 503,
        ErrorCode::WaitTimedOut => 504,
        ErrorCode::RegistryNotFound
        | ErrorCode::RegistryForeign
        | ErrorCode::RegistryNewer
        | ErrorCode::RegistryDamaged
        | ErrorCode::RegistryElsewhere
        | ErrorCode::DatabaseUrlInvalid
        | ErrorCode::DatabaseNotMigrated
        | ErrorCode::DatabaseNewer
        | ErrorCode::DatabaseFailed
        | ErrorCode::BlobsAddressInvalid
        | ErrorCode::BlobsElsewhere
        | ErrorCode::BlobsKeyInvalid
        | ErrorCode::BlobsAccessDenied
        | ErrorCode::BlobsBucketMissing
        | ErrorCode::RecordDamaged
        | ErrorCode::BriefDamaged
        | ErrorCode::RecordForeign
        | ErrorCode::IoFailed
        | ErrorCode::ParcelSourceChanged
        | ErrorCode::ParcelDamaged
        | ErrorCode::WorkspaceFailed
        | ErrorCode::SpawnFailed
        | ErrorCode::SandboxUnavailable
        | ErrorCode::EngineUnreachable
        | ErrorCode::ImageNotFound
        | ErrorCode::ImageUnavailable
        | ErrorCode::ContainerRefused
        | ErrorCode::DispatcherUnreachable
        | ErrorCode::NoActiveDispatcher
        | ErrorCode::DispatchRefused
        | ErrorCode::BusAddressInvalid
        | ErrorCode::BusUnreachable
        | ErrorCode::BusAccessDenied
        | ErrorCode::BusQueueMissing
        | ErrorCode::BusBlobsMissing
        | ErrorCode::TaskCancelled
        | ErrorCode::TaskJournalBroken
        | ErrorCode::ClusterUnreachable
        | ErrorCode::ClusterUnauthorized
        | ErrorCode::ClusterForbidden
        | ErrorCode::ClusterRefused
        | ErrorCode::ClusterUnconfigured
        | ErrorCode::JobNameTaken
        | ErrorCode::PodLost
        | ErrorCode::LauncherDied
        | ErrorCode::ExitNonzero
        | ErrorCode::ChildFailed
        | ErrorCode::ChildCancelled
        | ErrorCode::MappingFailed
        | ErrorCode::HandedOver
        | ErrorCode::WorkflowStalled
        | ErrorCode::FanOutFailed
        | ErrorCode::NoMajority
        | ErrorCode::TooManyRuns
        | ErrorCode::TooManyChildren
        | ErrorCode::AgentFailed
        | ErrorCode::KilledBySignal
        | ErrorCode::OutOfMemory
        | ErrorCode::TimeoutRun
        | ErrorCode::TimeoutStep
        | ErrorCode::TimeoutQueue
        | ErrorCode::TimeoutApproval
        | ErrorCode::HelperDied
        | ErrorCode::ProviderUnreachable
        | ErrorCode::ProviderRefused
        | ErrorCode::ModelAnswerIncomplete
        | ErrorCode::ToolServerFailed
        | ErrorCode::ToolNameTaken
        | ErrorCode::ToolRuleUnknown
        | ErrorCode::ToolCallFailed
        | ErrorCode::InterruptedEffect
        | ErrorCode::LeaseLost
        | ErrorCode::Stopped
        | ErrorCode::Superseded
        | ErrorCode::Interrupted
        | ErrorCode::JournalBroken
        | ErrorCode::Internal => 500,
    }
}
