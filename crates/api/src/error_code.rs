//! Every error that reaches a user: its stable code, its title, its exit code, its page.
//!
//! A code is never renamed or reused: scripts match on it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::exit_code;

macro_rules! codes {
    ($($variant:ident = $code:literal, $exit:ident, $title:literal;)*) => {
        /// A stable error code; `Display` is the code.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        pub enum ErrorCode {
            $(
                #[doc = $title]
                $variant,
            )*
        }

        impl ErrorCode {
            /// Every code, by area.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code: lower-case words joined by underscores.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What happened, in one line: a lower-case fragment.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// The exit code of a command that ends with this error. Where the agent has an exit
            /// code of its own, that one is used instead.
            pub const fn exit_code(self) -> u8 {
                match self { $(Self::$variant => exit_code::$exit,)* }
            }

            /// The page about it, in Markdown: what happened, why, what to do.
            pub const fn page(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(
                        concat!("../../../docs/errors/", $code, ".md")
                    ),)*
                }
            }
        }
    };
}

codes! {
    // What was asked for.
    Usage = "usage", USAGE, "the command line cannot be understood";
    AgentFileInvalid = "agent_file_invalid", USAGE, "the agent file has problems";
    AgentFileMissing = "agent_file_missing", USAGE, "there is no agent file";
    NestingTooDeep = "nesting_too_deep", USAGE, "coordinators are in each other too deep";
    AgentUnsupported = "agent_unsupported", USAGE, "the agent asks for something this version cannot do";
    SchemaInvalid = "schema_invalid", USAGE, "a JSON Schema of the agent cannot be compiled";
    PayloadUnreadable = "payload_unreadable", USAGE, "the payload cannot be read";
    PayloadTooLarge = "payload_too_large", USAGE, "the payload is too large";
    InputInvalid = "input_invalid", USAGE, "the input does not fit the agent's input schema";
    CronInvalid = "cron_invalid", USAGE, "the cron line cannot be read or can never fire";
    TimeZoneInvalid = "time_zone_invalid", USAGE, "there is no such time zone";
    ListenAddressInvalid = "listen_address_invalid", USAGE, "the address to listen on cannot be read";
    ListenUnsafe = "listen_unsafe", USAGE, "an address that other machines reach needs a secret";
    LabelInvalid = "label_invalid", USAGE, "a label cannot be read";
    EnvInvalid = "env_invalid", USAGE, "an environment variable cannot be set";
    NameInvalid = "name_invalid", USAGE, "the name of a run cannot be used";
    BudgetInvalid = "budget_invalid", USAGE, "a limit cannot be read or set";
    PriceTableInvalid = "price_table_invalid", USAGE, "the price table has problems";
    FilterInvalid = "filter_invalid", USAGE, "a filter cannot be read";

    // Parcels.
    ParcelInvalid = "parcel_invalid", USAGE, "the agent's folder cannot be packed";
    ParcelCredentials = "parcel_credentials", USAGE, "a file of the agent looks like credentials";
    ParcelIncomplete = "parcel_incomplete", USAGE, "a file that the agent needs is left out";
    ParcelTooLarge = "parcel_too_large", USAGE, "the agent's folder is too large";
    ParcelSymlinkEscapes = "parcel_symlink_escapes", USAGE, "a link leaves the agent's folder";
    ParcelFileUnsupported = "parcel_file_unsupported", USAGE, "the agent's folder holds something that is no file";
    ParcelSourceChanged = "parcel_source_changed", ERRAND_FAILED, "the agent's folder changed while it was packed";
    ParcelNotFound = "parcel_not_found", ERRAND_FAILED, "the parcel of that digest is not there";
    ParcelDamaged = "parcel_damaged", ERRAND_FAILED, "a parcel is not what its digest says";

    // The registry.
    RegistryNotFound = "registry_not_found", ERRAND_FAILED, "there is no registry here";
    RegistryElsewhere = "registry_elsewhere", ERRAND_FAILED, "the runs here are in a database";
    RegistryForeign = "registry_foreign", ERRAND_FAILED, "another user can have written the registry";
    RegistryNewer = "registry_newer", ERRAND_FAILED, "the registry was written by a newer errand";
    RegistryDamaged = "registry_damaged", ERRAND_FAILED, "the registry is damaged";
    RegistryBusy = "registry_busy", ERRAND_FAILED, "the registry stayed locked by other processes";
    RegistryReadOnly = "registry_read_only", ERRAND_FAILED, "the registry cannot be written";
    DatabaseUrlInvalid = "database_url_invalid", USAGE, "the URL of the database is wrong";
    DatabaseNotMigrated = "database_not_migrated", ERRAND_FAILED, "the database has an older schema, or none";
    DatabaseNewer = "database_newer", ERRAND_FAILED, "the database has a newer schema";
    DatabaseUnreachable = "database_unreachable", ERRAND_FAILED, "the database could not be reached";
    DatabaseFailed = "database_failed", ERRAND_FAILED, "the database refused what was asked of it";
    RecordDamaged = "record_damaged", ERRAND_FAILED, "the record of a run is damaged";
    RecordForeign = "record_foreign", ERRAND_FAILED, "a record points outside of its registry";
    DiskFull = "disk_full", ERRAND_FAILED, "the disk is full";
    IoFailed = "io_failed", ERRAND_FAILED, "a file could not be read or written";

    // Naming a run.
    RunNotFound = "run_not_found", ERRAND_FAILED, "no run has that id or name";
    RunAmbiguous = "run_ambiguous", ERRAND_FAILED, "several runs fit that id or name";
    RunLive = "run_live", ERRAND_FAILED, "the run is still live";
    WakeRefused = "wake_refused", ERRAND_FAILED, "the run cannot be woken";
    RunNotLive = "run_not_live", ERRAND_FAILED, "the run has ended already";
    RunUnstoppable = "run_unstoppable", ERRAND_FAILED, "processes of the run outlived every attempt to stop it";
    RunConflict = "run_conflict", ERRAND_FAILED, "a run of that id is here with another journal";
    RunElsewhere = "run_elsewhere", ERRAND_FAILED, "the run is supervised by another machine";
    RunNotRetryable = "run_not_retryable", ERRAND_FAILED, "the run cannot be done again in this way";
    DeadLetterNotFound = "dead_letter_not_found", ERRAND_FAILED, "the run is no dead letter";
    DeadLetterSettled = "dead_letter_settled", ERRAND_FAILED, "the dead letter was redriven or discarded already";
    StepNotFound = "step_not_found", ERRAND_FAILED, "the run has no step of that key";
    ReplayRefused = "replay_refused", ERRAND_FAILED, "the run cannot be replayed strictly";
    ReplayEffects = "replay_effects", ERRAND_FAILED, "a live replay would have effects outside";
    IdempotencyConflict = "idempotency_conflict", ERRAND_FAILED, "the idempotency key was used for a different run";
    WaitTimedOut = "wait_timed_out", TIMED_OUT, "the run did not end while it was waited for";

    // Questions to people.
    QuestionNotFound = "question_not_found", ERRAND_FAILED, "the run asks nothing like that";
    QuestionAmbiguous = "question_ambiguous", ERRAND_FAILED, "the run asks several things";
    QuestionDecided = "question_decided", ERRAND_FAILED, "somebody has decided already";
    QuestionExpired = "question_expired", ERRAND_FAILED, "the time to answer is over";
    DigestMismatch = "digest_mismatch", ERRAND_FAILED, "something else would be done than was looked at";
    AnswerInvalid = "answer_invalid", USAGE, "the answer does not satisfy the schema of the question";
    RunNotPaused = "run_not_paused", ERRAND_FAILED, "nobody paused the run";
    RunNotCoordinated = "run_not_coordinated", ERRAND_FAILED, "the run coordinates no agents";
    ChildRemoved = "child_removed", ERRAND_FAILED, "a run that the coordinator started was removed";
    TooManyQuestions = "too_many_questions", ERRAND_FAILED, "the run asks more than people can answer";

    // How an attempt begins.
    CommandNotFound = "command_not_found", NOT_FOUND, "the agent's program was not found";
    CommandNotExecutable = "command_not_executable", CANNOT_INVOKE, "the agent's program cannot be executed";
    WorkspaceFailed = "workspace_failed", ERRAND_FAILED, "the workspace could not be prepared";
    SpawnFailed = "spawn_failed", ERRAND_FAILED, "the agent's process could not be started";
    LauncherDied = "launcher_died", ERRAND_FAILED, "whoever started the run died before its helper was up";
    ListenAddressInUse = "listen_address_in_use", ERRAND_FAILED, "the address to listen on is taken";

    // How a run ends.
    ExitNonzero = "exit_nonzero", ERRAND_FAILED, "the agent exited with a code other than 0";
    AgentFailed = "agent_failed", ERRAND_FAILED, "the agent said that it failed";
    KilledBySignal = "killed_by_signal", ERRAND_FAILED, "the agent was killed by a signal";
    OutOfMemory = "out_of_memory", ERRAND_FAILED, "the agent used more memory than it may";
    TimeoutRun = "timeout_run", TIMED_OUT, "the run took longer than it may";
    TimeoutStep = "timeout_step", TIMED_OUT, "a step took longer than it may";
    TimeoutQueue = "timeout_queue", TIMED_OUT, "the run waited too long to be started";
    TimeoutApproval = "timeout_approval", TIMED_OUT, "nobody decided in time";
    OutputInvalid = "output_invalid", ERRAND_FAILED, "the output is not what the agent promised";
    OutputTooLarge = "output_too_large", ERRAND_FAILED, "the output is too large";
    HelperDied = "helper_died", ERRAND_FAILED, "the process that supervised the run died";
    SupervisorStopped = "supervisor_stopped", ERRAND_FAILED, "whoever supervised the attempt was told to go";
    LeaseLost = "lease_lost", ERRAND_FAILED, "the attempt lost its lease";
    ChildFailed = "child_failed", ERRAND_FAILED, "an agent of a coordinator failed";
    ChildCancelled = "child_cancelled", ERRAND_FAILED, "an agent of a coordinator was cancelled";
    HandedOver = "handed_over", ERRAND_FAILED, "another run carries on what a step was to do";
    WorkflowStalled = "workflow_stalled", ERRAND_FAILED, "a workflow has nothing left to do, and no output";
    FanOutFailed = "fan_out_failed", ERRAND_FAILED, "too few members of a fan-out did well";
    MappingFailed = "mapping_failed", ERRAND_FAILED, "an agent's input cannot be put together";
    NoMajority = "no_majority", ERRAND_FAILED, "the members of a fan-out do not agree";
    TooManyRuns = "too_many_runs", ERRAND_FAILED, "an agent of a workflow is to run more often than it may";
    TooManyChildren = "too_many_children", ERRAND_FAILED, "a coordinator starts more runs than it may";
    Stopped = "stopped", STOPPED, "the run was stopped";
    Superseded = "superseded", STOPPED, "a newer run of its session took over";
    Interrupted = "interrupted", INTERRUPTED, "the run was interrupted";

    // Secrets.
    SecretMissing = "secret_missing", ERRAND_FAILED, "a secret that the agent needs is not set";
    SecretNameInvalid = "secret_name_invalid", USAGE, "that cannot be the name of a secret";
    SecretValueInvalid = "secret_value_invalid", USAGE, "that cannot be the value of a secret";
    SecretExposed = "secret_exposed", USAGE, "a secret stands where it would be recorded";
    SecretStoreMissing = "secret_store_missing", ERRAND_FAILED, "there is no secret store here";
    SecretIdentityMissing = "secret_identity_missing", ERRAND_FAILED, "the key of the secret store is not there";
    SecretIdentityInvalid = "secret_identity_invalid", ERRAND_FAILED, "the key of the secret store cannot be used";
    SecretIdentityMismatch = "secret_identity_mismatch", ERRAND_FAILED, "a secret was encrypted for another key";
    SecretDamaged = "secret_damaged", ERRAND_FAILED, "an encrypted secret is damaged";

    // The journal and the agent API.
    JournalBroken = "journal_broken", ERRAND_FAILED, "a journal is not what was written";
    Fenced = "fenced", ERRAND_FAILED, "a newer attempt has taken over";
    TerminalConflict = "terminal_conflict", ERRAND_FAILED, "the run ended differently already";
    NotInRun = "not_in_run", ERRAND_FAILED, "the command only works inside of a run";
    AgentApiUnreachable = "agent_api_unreachable", ERRAND_FAILED, "the agent API does not answer";
    TokenInvalid = "token_invalid", ERRAND_FAILED, "the token is not that of a live attempt";
    RequestInvalid = "request_invalid", USAGE, "a request cannot be read";
    RequestTooLarge = "request_too_large", USAGE, "a request is too large";
    StepKeyInvalid = "step_key_invalid", USAGE, "that cannot be the key of a step";
    StepInProgress = "step_in_progress", ERRAND_FAILED, "the step is being executed already";
    StepNotBegun = "step_not_begun", ERRAND_FAILED, "the step was not begun";
    StepChanged = "step_changed", ERRAND_FAILED, "the key of a completed step was used for another command";
    ReplayDiverged = "replay_diverged", ERRAND_FAILED, "a strict replay did something else than the record";
    StepConflict = "step_conflict", ERRAND_FAILED, "the step was completed with another result";
    EventInvalid = "event_invalid", USAGE, "an event cannot be recorded";
    BudgetExceeded = "budget_exceeded", ERRAND_FAILED, "a budget leaves no room for it";
    CheckpointTooLarge = "checkpoint_too_large", USAGE, "the checkpoint is too large";
    ArtifactInvalid = "artifact_invalid", USAGE, "an artifact cannot be recorded";
    BlobNotFound = "blob_not_found", ERRAND_FAILED, "the run names no such blob";
    ArtifactNotFound = "artifact_not_found", ERRAND_FAILED, "the run has no such artifact";
    SessionMissing = "session_missing", ERRAND_FAILED, "the run belongs to no session";
    SessionConflict = "session_conflict", ERRAND_FAILED, "the session was changed meanwhile";
    BomNotFound = "bom_not_found", ERRAND_FAILED, "there is no such inventory";
    SessionBusy = "session_busy", ERRAND_FAILED, "another run uses the session";
    SessionNotFound = "session_not_found", ERRAND_FAILED, "there is no session of that name";
    BriefMissing = "brief_missing", ERRAND_FAILED, "the run has no brief";
    NoCoordinator = "no_coordinator", ERRAND_FAILED, "the run is no part of a coordinated one";
    MessageTargetInvalid = "message_target_invalid", USAGE, "the agent may not send messages there";
    TooManyMessages = "too_many_messages", ERRAND_FAILED, "more messages were sent than may be";
    HandoffInvalid = "handoff_invalid", USAGE, "the run cannot be handed over like that";
    TooManyHandoffs = "too_many_handoffs", ERRAND_FAILED, "the run was handed over too often";
    NotAvailableYet = "not_available_yet", ERRAND_FAILED, "this version cannot do that yet";
    ShuttingDown = "shutting_down", ERRAND_FAILED, "errand is about to end";

    // The door of a server.
    KeyMissing = "key_missing", ERRAND_FAILED, "the server wants an API key";
    KeyInvalid = "key_invalid", ERRAND_FAILED, "the server does not know that API key";
    KeyExpired = "key_expired", ERRAND_FAILED, "the API key is not taken any more";
    KeyNotFound = "key_not_found", ERRAND_FAILED, "there is no such API key";
    KeyConflict = "key_conflict", ERRAND_FAILED, "there is an API key of that name";
    KeyNotMade = "key_not_made", USAGE, "an API key like that cannot be made";
    NamespaceInvalid = "namespace_invalid", USAGE, "that cannot be the name of a namespace";
    RateLimited = "rate_limited", ERRAND_FAILED, "the client asks too often";
    HostRefused = "host_refused", ERRAND_FAILED, "the request is not for this server";
    OriginRefused = "origin_refused", ERRAND_FAILED, "a web page of another origin asks";
    ListenOpen = "listen_open", USAGE, "a server that other machines reach needs API keys";
    TlsInvalid = "tls_invalid", USAGE, "the certificate or its key cannot be used";
    ConfigInvalid = "config_invalid", USAGE, "the configuration has problems";
    // The gateway.
    RequestMalformed = "request_malformed", USAGE, "the body of a request is not JSON";
    ContentTypeUnsupported = "content_type_unsupported", USAGE, "the body of a request has another media type than is asked for";
    AcceptUnsupported = "accept_unsupported", USAGE, "the route answers in no form that the request accepts";
    ParameterInvalid = "parameter_invalid", USAGE, "a parameter of a request is not known or cannot be read";
    PathNotFound = "path_not_found", ERRAND_FAILED, "nothing answers at that path";
    MethodNotAllowed = "method_not_allowed", ERRAND_FAILED, "the path does not answer that method";
    ScopeMissing = "scope_missing", ERRAND_FAILED, "the key does not allow that";
    AgentNotFound = "agent_not_found", ERRAND_FAILED, "no agent of that name and version is registered";
    AgentConflict = "agent_conflict", ERRAND_FAILED, "that version of the agent is registered with other content";

    // Webhooks and schedules.
    CallbackRefused = "callback_refused", USAGE, "reports must not go to that address";
    CallbackNotFound = "callback_not_found", ERRAND_FAILED, "there is no such report";
    CallbackTargetExists = "callback_target_exists", ERRAND_FAILED, "there is a callback target of that origin";
    CallbackTargetNotFound = "callback_target_not_found", ERRAND_FAILED, "there is no such callback target";
    TooManyDefinitions = "too_many_definitions", ERRAND_FAILED, "the namespace has as many as it may have";
    ChangedMeanwhile = "changed_meanwhile", ERRAND_FAILED, "others change the same thing at the same time";
    HookInvalid = "hook_invalid", USAGE, "a hook cannot be defined like that";
    HookNotFound = "hook_not_found", ERRAND_FAILED, "there is no such hook";
    HookRejected = "hook_rejected", ERRAND_FAILED, "a request to a hook is not what the hook asks for";
    HookDisabled = "hook_disabled", ERRAND_FAILED, "the hook takes no requests";
    SignatureInvalid = "signature_invalid", ERRAND_FAILED, "the signature of a request does not hold";
    ScheduleInvalid = "schedule_invalid", USAGE, "a schedule cannot be defined like that";
    ScheduleConflict = "schedule_conflict", ERRAND_FAILED, "there is a schedule of that name";
    ScheduleNotFound = "schedule_not_found", ERRAND_FAILED, "there is no such schedule";
    // Servers.
    ServerUrlInvalid = "server_url_invalid", USAGE, "the address of a server cannot be read";
    ServerUnreachable = "server_unreachable", ERRAND_FAILED, "the server does not answer";
    NotAServer = "not_a_server", ERRAND_FAILED, "who answers is no errand server";
    ServerNewer = "server_newer", ERRAND_FAILED, "the server knows more than this version";
    ContextNotFound = "context_not_found", USAGE, "there is no context of that name";
    ContextInvalid = "context_invalid", USAGE, "a context, or its key file, cannot be used";
    OnlyLocal = "only_local", USAGE, "the command works on the registry of this machine only";
    RangeUnsatisfiable = "range_unsatisfiable", ERRAND_FAILED, "the part that is wanted is not there";

    // Everything else.
    ArchiveInvalid = "archive_invalid", ERRAND_FAILED, "the file is no export of a run";
    ArchiveDamaged = "archive_damaged", ERRAND_FAILED, "an export is not what was written";
    ArchiveNewer = "archive_newer", ERRAND_FAILED, "the export was written by a newer errand";
    Internal = "internal", ERRAND_FAILED, "errand did something wrong";
}

impl ErrorCode {
    /// Failures that another attempt may mend: what `retry_policy.retry_on` can name.
    pub const RETRYABLE: &[Self] = &[
        Self::ExitNonzero,
        Self::KilledBySignal,
        Self::OutOfMemory,
        Self::TimeoutStep,
        Self::SpawnFailed,
        Self::DiskFull,
        Self::WorkspaceFailed,
        Self::OutputInvalid,
        Self::HelperDied,
        Self::SupervisorStopped,
        Self::LeaseLost,
        Self::ChildFailed,
        Self::FanOutFailed,
        Self::NoMajority,
    ];
}

impl ErrorCode {
    /// The code of a failure of the operating system.
    pub fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let kind = error.kind();
        if matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            Self::DiskFull
        } else if kind == ErrorKind::ReadOnlyFilesystem {
            Self::RegistryReadOnly
        } else {
            Self::IoFailed
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ErrorCode {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|code| code.as_str() == text);
        known.copied().ok_or_else(|| UnknownCode { text: text.to_owned() })
    }
}

impl TryFrom<String> for ErrorCode {
    type Error = UnknownCode;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ErrorCode> for String {
    fn from(code: ErrorCode) -> Self {
        code.as_str().to_owned()
    }
}

/// The text is no error code of this version.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not an error code of this version")]
pub struct UnknownCode {
    /// What was given.
    pub text: String,
}
