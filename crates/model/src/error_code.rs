//! Error codes: one table with the text, exit code, class and page of each.
//!
//! A code is never renamed or reused: scripts match on it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::EndedBy::{Agent, Outside};
use crate::exit_code;

/// Meaning of an error code for an attempt that failed with it.
///
/// `retry_policy.retry_on` of the agent file and the agent itself can overrule it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeClass {
    /// Errand never fails an attempt with this code: an agent that uses the word means its own.
    AgentsOwn,
    /// The failure may pass: errand tries again where the run has retries left.
    Transient(EndedBy),
    /// The failure stays: errand does not try again by itself.
    Permanent(EndedBy),
}

/// Cause of an attempt's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The agent ended by itself, or said that it failed.
    Agent,
    /// Errand or the machine ended the agent, or never started it.
    Outside,
}

/// Class in the table: [`CodeClass::AgentsOwn`].
const OWN: CodeClass = CodeClass::AgentsOwn;

const fn transient(by: EndedBy) -> CodeClass {
    CodeClass::Transient(by)
}

const fn permanent(by: EndedBy) -> CodeClass {
    CodeClass::Permanent(by)
}

macro_rules! codes {
    ($($variant:ident = $code:literal, $exit:ident, $class:expr, $title:literal;)*) => {
        /// Stable error code; `Display` is the code.
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
            /// All codes, by area.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the code: lower-case words joined by underscores.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// Returns a one-line description: a lower-case fragment.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// Returns the exit code of a command that ends with this error. Where the agent has
            /// an exit code of its own, that one is used instead.
            pub const fn exit_code(self) -> u8 {
                match self { $(Self::$variant => exit_code::$exit,)* }
            }

            /// Returns the meaning of the code for an attempt that failed with it.
            pub const fn class(self) -> CodeClass {
                match self { $(Self::$variant => $class,)* }
            }

            /// Returns the page about the code, in Markdown: what happened, why, what to do.
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
    // Requests and their values.
    Usage = "usage", USAGE, OWN, "the command line cannot be understood";
    AgentFileInvalid = "agent_file_invalid", USAGE, permanent(Outside), "the agent file has problems";
    AgentFileMissing = "agent_file_missing", USAGE, permanent(Outside), "there is no agent file";
    NestingTooDeep = "nesting_too_deep", USAGE, OWN, "coordinators are in each other too deep";
    AgentUnsupported = "agent_unsupported", USAGE, permanent(Outside), "the agent asks for something this version cannot do";
    SchemaInvalid = "schema_invalid", USAGE, permanent(Outside), "a JSON Schema of the agent cannot be compiled";
    PayloadUnreadable = "payload_unreadable", USAGE, OWN, "the payload cannot be read";
    PayloadTooLarge = "payload_too_large", USAGE, OWN, "the payload is too large";
    InputInvalid = "input_invalid", USAGE, permanent(Agent), "the input does not fit the agent's input schema";
    CronInvalid = "cron_invalid", USAGE, OWN, "the cron line cannot be read or can never fire";
    TimeZoneInvalid = "time_zone_invalid", USAGE, OWN, "there is no such time zone";
    ListenAddressInvalid = "listen_address_invalid", USAGE, permanent(Outside), "the address to listen on cannot be read";
    ListenUnsafe = "listen_unsafe", USAGE, permanent(Outside), "an address that other machines reach needs a secret";
    LabelInvalid = "label_invalid", USAGE, OWN, "a label cannot be read";
    EnvInvalid = "env_invalid", USAGE, OWN, "an environment variable cannot be set";
    NameInvalid = "name_invalid", USAGE, OWN, "the name of a run cannot be used";
    BudgetInvalid = "budget_invalid", USAGE, OWN, "a limit cannot be read or set";
    PriceTableInvalid = "price_table_invalid", USAGE, permanent(Outside), "the price table has problems";
    FilterInvalid = "filter_invalid", USAGE, OWN, "a filter cannot be read";

    // Parcels.
    ParcelInvalid = "parcel_invalid", USAGE, permanent(Outside), "the agent's folder cannot be packed";
    ParcelCredentials = "parcel_credentials", USAGE, permanent(Outside), "a file of the agent looks like credentials";
    ParcelIncomplete = "parcel_incomplete", USAGE, permanent(Outside), "a file that the agent needs is left out";
    ParcelTooLarge = "parcel_too_large", USAGE, permanent(Outside), "the agent's folder is too large";
    ParcelSymlinkEscapes = "parcel_symlink_escapes", USAGE, permanent(Outside), "a link leaves the agent's folder";
    ParcelFileUnsupported = "parcel_file_unsupported", USAGE, permanent(Outside), "the agent's folder holds something that is no file";
    ParcelSourceChanged = "parcel_source_changed", ERRAND_FAILED, permanent(Outside), "the agent's folder changed while it was packed";
    ParcelNotFound = "parcel_not_found", ERRAND_FAILED, permanent(Outside), "the parcel of that digest is not there";
    ParcelDamaged = "parcel_damaged", ERRAND_FAILED, permanent(Outside), "a parcel is not what its digest says";

    // The registry.
    RegistryNotFound = "registry_not_found", ERRAND_FAILED, OWN, "there is no registry here";
    RegistryElsewhere = "registry_elsewhere", ERRAND_FAILED, OWN, "the runs here are in a database";
    RegistryForeign = "registry_foreign", ERRAND_FAILED, OWN, "another user can have written the registry";
    RegistryNewer = "registry_newer", ERRAND_FAILED, OWN, "the registry was written by a newer errand";
    RegistryDamaged = "registry_damaged", ERRAND_FAILED, OWN, "the registry is damaged";
    RegistryBusy = "registry_busy", ERRAND_FAILED, OWN, "the registry stayed locked by other processes";
    RegistryReadOnly = "registry_read_only", ERRAND_FAILED, permanent(Outside), "the registry cannot be written";
    DatabaseUrlInvalid = "database_url_invalid", USAGE, OWN, "the URL of the database is wrong";
    DatabaseNotMigrated = "database_not_migrated", ERRAND_FAILED, OWN, "the database has an older schema, or none";
    DatabaseNewer = "database_newer", ERRAND_FAILED, OWN, "the database has a newer schema";
    DatabaseUnreachable = "database_unreachable", ERRAND_FAILED, OWN, "the database could not be reached";
    DatabaseFailed = "database_failed", ERRAND_FAILED, OWN, "the database refused what was asked of it";
    RecordDamaged = "record_damaged", ERRAND_FAILED, OWN, "the record of a run is damaged";
    RecordForeign = "record_foreign", ERRAND_FAILED, OWN, "a record points outside of its registry";
    BlobsAddressInvalid = "blobs_address_invalid", USAGE, permanent(Outside), "blobs cannot be kept at that address";
    BlobsElsewhere = "blobs_elsewhere", USAGE, OWN, "the registry keeps its blobs in another place";
    BlobsKeyInvalid = "blobs_key_invalid", ERRAND_FAILED, permanent(Outside), "the key for the blobs is missing, unknown or expired";
    BlobsAccessDenied = "blobs_access_denied", ERRAND_FAILED, permanent(Outside), "the place of the blobs refuses access";
    BlobsBucketMissing = "blobs_bucket_missing", ERRAND_FAILED, permanent(Outside), "there is no such bucket for blobs";
    BlobsFolderMissing = "blobs_folder_missing", ERRAND_FAILED, transient(Outside), "the place of the blobs does not have those of this registry";
    BlobsUnreachable = "blobs_unreachable", ERRAND_FAILED, transient(Outside), "the place of the blobs does not answer";
    BlobsUploadCut = "blobs_upload_cut", ERRAND_FAILED, transient(Outside), "the connection ended while a blob was stored";
    DiskFull = "disk_full", ERRAND_FAILED, transient(Outside), "the disk is full";
    IoFailed = "io_failed", ERRAND_FAILED, transient(Outside), "a file could not be read or written";

    // Naming a run.
    RunNotFound = "run_not_found", ERRAND_FAILED, OWN, "no run has that id or name";
    RunAmbiguous = "run_ambiguous", ERRAND_FAILED, OWN, "several runs fit that id or name";
    RunLive = "run_live", ERRAND_FAILED, OWN, "the run is still live";
    WakeRefused = "wake_refused", ERRAND_FAILED, OWN, "the run cannot be woken";
    RunNotLive = "run_not_live", ERRAND_FAILED, OWN, "the run has ended already";
    RunUnstoppable = "run_unstoppable", ERRAND_FAILED, OWN, "processes of the run outlived every attempt to stop it";
    RunConflict = "run_conflict", ERRAND_FAILED, OWN, "a run of that id is here with another journal";
    RunElsewhere = "run_elsewhere", ERRAND_FAILED, OWN, "the run is supervised by another machine";
    RunNotRetryable = "run_not_retryable", ERRAND_FAILED, OWN, "the run cannot be done again in this way";
    DeadLetterNotFound = "dead_letter_not_found", ERRAND_FAILED, OWN, "the run is no dead letter";
    DeadLetterSettled = "dead_letter_settled", ERRAND_FAILED, OWN, "the dead letter was redriven or discarded already";
    StepNotFound = "step_not_found", ERRAND_FAILED, OWN, "the run has no step of that key";
    ReplayRefused = "replay_refused", ERRAND_FAILED, permanent(Outside), "the run cannot be replayed strictly";
    ReplayEffects = "replay_effects", ERRAND_FAILED, OWN, "a live replay would have effects outside";
    IdempotencyConflict = "idempotency_conflict", ERRAND_FAILED, OWN, "the idempotency key was used for a different run";
    WaitTimedOut = "wait_timed_out", TIMED_OUT, OWN, "the run did not end while it was waited for";

    // Questions to people.
    QuestionNotFound = "question_not_found", ERRAND_FAILED, OWN, "the run asks nothing like that";
    QuestionAmbiguous = "question_ambiguous", ERRAND_FAILED, OWN, "the run asks several things";
    QuestionDecided = "question_decided", ERRAND_FAILED, OWN, "somebody has decided already";
    QuestionExpired = "question_expired", ERRAND_FAILED, OWN, "the time to answer is over";
    DigestMismatch = "digest_mismatch", ERRAND_FAILED, OWN, "something else would be done than was looked at";
    AnswerInvalid = "answer_invalid", USAGE, OWN, "the answer does not satisfy the schema of the question";
    RunNotPaused = "run_not_paused", ERRAND_FAILED, OWN, "nobody paused the run";
    RunNotCoordinated = "run_not_coordinated", ERRAND_FAILED, OWN, "the run coordinates no agents";
    ChildRemoved = "child_removed", ERRAND_FAILED, OWN, "a run that the coordinator started was removed";
    TooManyQuestions = "too_many_questions", ERRAND_FAILED, OWN, "the run asks more than people can answer";

    // How an attempt begins.
    CommandNotFound = "command_not_found", NOT_FOUND, permanent(Outside), "the agent's program was not found";
    CommandNotExecutable = "command_not_executable", CANNOT_INVOKE, permanent(Outside), "the agent's program cannot be executed";
    WorkspaceFailed = "workspace_failed", ERRAND_FAILED, permanent(Outside), "the workspace could not be prepared";
    SpawnFailed = "spawn_failed", ERRAND_FAILED, transient(Outside), "the agent's process could not be started";
    SandboxUnavailable = "sandbox_unavailable", ERRAND_FAILED, permanent(Outside), "this machine cannot restrict the agent as its file asks for";
    EngineUnreachable = "engine_unreachable", ERRAND_FAILED, transient(Outside), "no container engine answers";
    ImageUnavailable = "image_unavailable", ERRAND_FAILED, transient(Outside), "the registry of the agent's image does not give it now";
    ImageNotFound = "image_not_found", NOT_FOUND, permanent(Outside), "the agent's image was not found";
    ContainerRefused = "container_refused", ERRAND_FAILED, permanent(Outside), "the container engine refuses the container";
    ClusterUnreachable = "cluster_unreachable", ERRAND_FAILED, transient(Outside), "no Kubernetes cluster answers";
    ClusterUnauthorized = "cluster_unauthorized", ERRAND_FAILED, permanent(Outside), "the Kubernetes cluster does not accept the credentials";
    ClusterForbidden = "cluster_forbidden", ERRAND_FAILED, permanent(Outside), "errand lacks rights in the Kubernetes cluster";
    ClusterRefused = "cluster_refused", ERRAND_FAILED, permanent(Outside), "the Kubernetes cluster refuses the agent's Pod";
    ClusterUnconfigured = "cluster_unconfigured", ERRAND_FAILED, permanent(Outside), "errand does not know how Pods reach it";
    JobNameTaken = "job_name_taken", ERRAND_FAILED, permanent(Outside), "another program's Job has the name of the agent's";
    PodLost = "pod_lost", ERRAND_FAILED, transient(Outside), "the agent's Pod was evicted, deleted or lost";
    LauncherDied = "launcher_died", ERRAND_FAILED, permanent(Outside), "whoever started the run died before its helper was up";
    ListenAddressInUse = "listen_address_in_use", ERRAND_FAILED, permanent(Outside), "the address to listen on is taken";

    // How a run ends.
    ExitNonzero = "exit_nonzero", ERRAND_FAILED, transient(Agent), "the agent exited with a code other than 0";
    AgentFailed = "agent_failed", ERRAND_FAILED, OWN, "the agent said that it failed";
    KilledBySignal = "killed_by_signal", ERRAND_FAILED, transient(Agent), "the agent was killed by a signal";
    OutOfMemory = "out_of_memory", ERRAND_FAILED, permanent(Outside), "the agent used more memory than it may";
    TimeoutRun = "timeout_run", TIMED_OUT, permanent(Outside), "the run took longer than it may";
    TimeoutStep = "timeout_step", TIMED_OUT, transient(Outside), "a step took longer than it may";
    TimeoutQueue = "timeout_queue", TIMED_OUT, permanent(Outside), "the run waited too long to be started";
    TimeoutApproval = "timeout_approval", TIMED_OUT, permanent(Agent), "nobody decided in time";
    OutputInvalid = "output_invalid", ERRAND_FAILED, permanent(Agent), "the output is not what the agent promised";
    OutputTooLarge = "output_too_large", ERRAND_FAILED, permanent(Agent), "the output is too large";
    HelperDied = "helper_died", ERRAND_FAILED, transient(Outside), "the process that supervised the run died";
    SupervisorStopped = "supervisor_stopped", ERRAND_FAILED, transient(Outside), "whoever supervised the attempt was told to go";
    LeaseLost = "lease_lost", ERRAND_FAILED, transient(Outside), "the attempt lost its lease";
    ChildFailed = "child_failed", ERRAND_FAILED, transient(Agent), "an agent of a coordinator failed";
    ChildCancelled = "child_cancelled", ERRAND_FAILED, OWN, "an agent of a coordinator was cancelled";
    HandedOver = "handed_over", ERRAND_FAILED, OWN, "another run carries on what a step was to do";
    WorkflowStalled = "workflow_stalled", ERRAND_FAILED, permanent(Agent), "a workflow has nothing left to do, and no output";
    FanOutFailed = "fan_out_failed", ERRAND_FAILED, transient(Agent), "too few members of a fan-out did well";
    MappingFailed = "mapping_failed", ERRAND_FAILED, permanent(Agent), "an agent's input cannot be put together";
    NoMajority = "no_majority", ERRAND_FAILED, transient(Agent), "the members of a fan-out do not agree";
    TooManyRuns = "too_many_runs", ERRAND_FAILED, permanent(Agent), "an agent of a workflow is to run more often than it may";
    TooManyChildren = "too_many_children", ERRAND_FAILED, permanent(Agent), "a coordinator starts more runs than it may";
    Stopped = "stopped", STOPPED, permanent(Agent), "the run was stopped";
    Superseded = "superseded", STOPPED, OWN, "a newer run of its session took over";
    Interrupted = "interrupted", INTERRUPTED, permanent(Agent), "the run was interrupted";

    // Secrets.
    SecretMissing = "secret_missing", ERRAND_FAILED, permanent(Outside), "a secret that the agent needs is not set";
    SecretNameInvalid = "secret_name_invalid", USAGE, permanent(Outside), "that cannot be the name of a secret";
    SecretValueInvalid = "secret_value_invalid", USAGE, permanent(Outside), "that cannot be the value of a secret";
    SecretExposed = "secret_exposed", USAGE, permanent(Outside), "a secret stands where it would be recorded";
    SecretStoreMissing = "secret_store_missing", ERRAND_FAILED, permanent(Outside), "there is no secret store here";
    SecretIdentityMissing = "secret_identity_missing", ERRAND_FAILED, permanent(Outside), "the key of the secret store is not there";
    SecretIdentityInvalid = "secret_identity_invalid", ERRAND_FAILED, permanent(Outside), "the key of the secret store cannot be used";
    SecretIdentityMismatch = "secret_identity_mismatch", ERRAND_FAILED, permanent(Outside), "a secret was encrypted for another key";
    SecretDamaged = "secret_damaged", ERRAND_FAILED, permanent(Outside), "an encrypted secret is damaged";

    // The journal and the agent API.
    JournalBroken = "journal_broken", ERRAND_FAILED, OWN, "a journal is not what was written";
    Fenced = "fenced", ERRAND_FAILED, OWN, "a newer attempt has taken over";
    TerminalConflict = "terminal_conflict", ERRAND_FAILED, OWN, "the run ended differently already";
    NotInRun = "not_in_run", ERRAND_FAILED, OWN, "the command only works inside of a run";
    AgentApiUnreachable = "agent_api_unreachable", ERRAND_FAILED, OWN, "the agent API does not answer";
    TokenInvalid = "token_invalid", ERRAND_FAILED, OWN, "the token is not that of a live attempt";
    RequestInvalid = "request_invalid", USAGE, OWN, "a request cannot be read";
    RequestTooLarge = "request_too_large", USAGE, OWN, "a request is too large";
    StepKeyInvalid = "step_key_invalid", USAGE, OWN, "that cannot be the key of a step";
    StepInProgress = "step_in_progress", ERRAND_FAILED, OWN, "the step is being executed already";
    StepNotBegun = "step_not_begun", ERRAND_FAILED, OWN, "the step was not begun";
    StepChanged = "step_changed", ERRAND_FAILED, OWN, "the key of a completed step was used for another command";
    ReplayDiverged = "replay_diverged", ERRAND_FAILED, permanent(Outside), "a strict replay did something else than the record";
    StepConflict = "step_conflict", ERRAND_FAILED, OWN, "the step was completed with another result";
    EventInvalid = "event_invalid", USAGE, OWN, "an event cannot be recorded";
    BudgetExceeded = "budget_exceeded", ERRAND_FAILED, permanent(Agent), "a budget leaves no room for it";
    ModelUnpriced = "model_unpriced", ERRAND_FAILED, permanent(Agent), "a budget in dollars applies, and the model has no price";
    PolicyDenied = "policy_denied", ERRAND_FAILED, permanent(Agent), "a policy denies it";
    PolicyInvalid = "policy_invalid", ERRAND_FAILED, permanent(Outside), "a policy cannot be used";
    ApprovalPending = "approval_pending", ERRAND_FAILED, OWN, "a person has not decided yet";

    // Models behind the gateway.
    ProviderInvalid = "provider_invalid", USAGE, permanent(Outside), "a model provider cannot be used as it is configured";
    ProviderUnreachable = "provider_unreachable", ERRAND_FAILED, OWN, "a model provider cannot be reached";
    ProviderRefused = "provider_refused", ERRAND_FAILED, OWN, "a model provider answered with an error";
    ModelAnswerIncomplete = "model_answer_incomplete", ERRAND_FAILED, OWN, "the answer of a model is malformed or came to no end";
    ModelRequestInvalid = "model_request_invalid", USAGE, OWN, "a model call cannot be understood";
    ModelRequestTooLarge = "model_request_too_large", USAGE, OWN, "the request of a model call is too large";

    // Tools behind the gateway.
    ToolServerInvalid = "tool_server_invalid", USAGE, permanent(Outside), "a tool server cannot be used as it is configured";
    ToolServerFailed = "tool_server_failed", ERRAND_FAILED, permanent(Outside), "a tool server does not start, or does not speak the protocol";
    ToolNameTaken = "tool_name_taken", ERRAND_FAILED, permanent(Outside), "two tools have the same name for the agent";
    ToolRuleUnknown = "tool_rule_unknown", ERRAND_FAILED, permanent(Outside), "a rule of a policy names a tool that there is not";
    ToolCallFailed = "tool_call_failed", ERRAND_FAILED, OWN, "a tool server did not answer a call";
    InterruptedEffect = "interrupted_effect", ERRAND_FAILED, OWN, "a call was cut off, and its effect may have happened";
    CheckpointTooLarge = "checkpoint_too_large", USAGE, OWN, "the checkpoint is too large";
    ArtifactInvalid = "artifact_invalid", USAGE, OWN, "an artifact cannot be recorded";
    BlobNotFound = "blob_not_found", ERRAND_FAILED, OWN, "the run names no such blob";
    ArtifactNotFound = "artifact_not_found", ERRAND_FAILED, OWN, "the run has no such artifact";
    SessionMissing = "session_missing", ERRAND_FAILED, OWN, "the run belongs to no session";
    SessionConflict = "session_conflict", ERRAND_FAILED, OWN, "the session was changed meanwhile";
    BomNotFound = "bom_not_found", ERRAND_FAILED, OWN, "there is no such inventory";
    SessionBusy = "session_busy", ERRAND_FAILED, OWN, "another run uses the session";
    SessionNotFound = "session_not_found", ERRAND_FAILED, OWN, "there is no session of that name";
    BriefMissing = "brief_missing", ERRAND_FAILED, OWN, "the run has no brief";
    NoCoordinator = "no_coordinator", ERRAND_FAILED, OWN, "the run is no part of a coordinated one";
    MessageTargetInvalid = "message_target_invalid", USAGE, OWN, "the agent may not send messages there";
    TooManyMessages = "too_many_messages", ERRAND_FAILED, permanent(Agent), "more messages were sent than may be";
    HandoffInvalid = "handoff_invalid", USAGE, OWN, "the run cannot be handed over like that";
    TooManyHandoffs = "too_many_handoffs", ERRAND_FAILED, OWN, "the run was handed over too often";
    NotAvailableYet = "not_available_yet", ERRAND_FAILED, OWN, "this version cannot do that yet";
    ShuttingDown = "shutting_down", ERRAND_FAILED, OWN, "errand is about to end";

    // The door of a server.
    KeyMissing = "key_missing", ERRAND_FAILED, OWN, "the server wants an API key";
    KeyInvalid = "key_invalid", ERRAND_FAILED, OWN, "the server does not know that API key";
    KeyExpired = "key_expired", ERRAND_FAILED, OWN, "the API key is not taken any more";
    KeyNotFound = "key_not_found", ERRAND_FAILED, OWN, "there is no such API key";
    KeyConflict = "key_conflict", ERRAND_FAILED, OWN, "there is an API key of that name";
    KeyNotMade = "key_not_made", USAGE, OWN, "an API key like that cannot be made";
    NamespaceInvalid = "namespace_invalid", USAGE, OWN, "that cannot be the name of a namespace";
    RateLimited = "rate_limited", ERRAND_FAILED, OWN, "the client asks too often";
    HostRefused = "host_refused", ERRAND_FAILED, OWN, "the request is not for this server";
    OriginRefused = "origin_refused", ERRAND_FAILED, OWN, "a web page of another origin asks";
    ListenOpen = "listen_open", USAGE, OWN, "a server that other machines reach needs API keys";
    TlsInvalid = "tls_invalid", USAGE, OWN, "the certificate or its key cannot be used";
    ConfigInvalid = "config_invalid", USAGE, OWN, "the configuration has problems";
    // The gateway.
    RequestMalformed = "request_malformed", USAGE, OWN, "the body of a request is not JSON";
    ContentTypeUnsupported = "content_type_unsupported", USAGE, OWN, "the body of a request has another media type than is asked for";
    AcceptUnsupported = "accept_unsupported", USAGE, OWN, "the route answers in no form that the request accepts";
    ParameterInvalid = "parameter_invalid", USAGE, OWN, "a parameter of a request is not known or cannot be read";
    PathNotFound = "path_not_found", ERRAND_FAILED, OWN, "nothing answers at that path";
    MethodNotAllowed = "method_not_allowed", ERRAND_FAILED, OWN, "the path does not answer that method";
    ScopeMissing = "scope_missing", ERRAND_FAILED, OWN, "the key does not allow that";
    AgentNotFound = "agent_not_found", ERRAND_FAILED, OWN, "no agent of that name and version is registered";
    AgentConflict = "agent_conflict", ERRAND_FAILED, OWN, "that version of the agent is registered with other content";

    // Webhooks and schedules.
    CallbackRefused = "callback_refused", USAGE, OWN, "reports must not go to that address";
    CallbackNotFound = "callback_not_found", ERRAND_FAILED, OWN, "there is no such report";
    CallbackTargetExists = "callback_target_exists", ERRAND_FAILED, OWN, "there is a callback target of that origin";
    CallbackTargetNotFound = "callback_target_not_found", ERRAND_FAILED, OWN, "there is no such callback target";
    TooManyDefinitions = "too_many_definitions", ERRAND_FAILED, OWN, "the namespace has as many as it may have";
    ChangedMeanwhile = "changed_meanwhile", ERRAND_FAILED, OWN, "others change the same thing at the same time";
    HookInvalid = "hook_invalid", USAGE, OWN, "a hook cannot be defined like that";
    HookNotFound = "hook_not_found", ERRAND_FAILED, OWN, "there is no such hook";
    HookRejected = "hook_rejected", ERRAND_FAILED, OWN, "a request to a hook is not what the hook asks for";
    HookDisabled = "hook_disabled", ERRAND_FAILED, OWN, "the hook takes no requests";
    SignatureInvalid = "signature_invalid", ERRAND_FAILED, OWN, "the signature of a request does not hold";
    ScheduleInvalid = "schedule_invalid", USAGE, OWN, "a schedule cannot be defined like that";
    ScheduleConflict = "schedule_conflict", ERRAND_FAILED, OWN, "there is a schedule of that name";
    ScheduleNotFound = "schedule_not_found", ERRAND_FAILED, OWN, "there is no such schedule";

    // Tasks of a dispatcher.
    TaskConflict = "task_conflict", ERRAND_FAILED, OWN, "a task of that id has another configuration";
    TaskNotFound = "task_not_found", ERRAND_FAILED, OWN, "there is no such task";
    DispatcherUnreachable = "dispatcher_unreachable", ERRAND_FAILED, transient(Outside), "a dispatcher does not answer, or fails";
    NoActiveDispatcher = "no_active_dispatcher", ERRAND_FAILED, transient(Outside), "no dispatcher answers that could carry the run out";
    DispatchRefused = "dispatch_refused", ERRAND_FAILED, permanent(Outside), "a dispatcher refuses the task of a run";
    TaskJournalBroken = "task_journal_broken", ERRAND_FAILED, permanent(Outside), "the journal of a task is not what its dispatcher wrote";
    BusAddressInvalid = "bus_address_invalid", USAGE, OWN, "an address names no bus";
    BusUnreachable = "bus_unreachable", ERRAND_FAILED, transient(Outside), "a bus does not answer";
    BusAccessDenied = "bus_access_denied", ERRAND_FAILED, permanent(Outside), "a bus refuses the credentials, or what they are used for";
    BusQueueMissing = "bus_queue_missing", ERRAND_FAILED, permanent(Outside), "the queue of a bus does not exist";
    BusBlobsMissing = "bus_blobs_missing", ERRAND_FAILED, permanent(Outside), "orders on a bus have no place that sender and dispatcher share";
    TaskCancelled = "task_cancelled", ERRAND_FAILED, permanent(Outside), "the task of a run was cancelled at its dispatcher";

    // The catalog.
    ManifestInvalid = "manifest_invalid", USAGE, OWN, "a manifest has problems";
    DefinitionNotFound = "definition_not_found", ERRAND_FAILED, OWN, "the catalog has no such definition";
    DefinitionInUse = "definition_in_use", ERRAND_FAILED, OWN, "other definitions refer to the definition";
    DefinitionReadOnly = "definition_read_only", ERRAND_FAILED, OWN, "the definition comes from a file";
    BriefAssemblyFailed = "brief_assembly_failed", ERRAND_FAILED, permanent(Outside), "a skill or config of a run does not exist";
    ModelRouteMismatch = "model_route_mismatch", ERRAND_FAILED, permanent(Outside), "a model route leads to a provider that the agent does not have";
    DependencyMissing = "dependency_missing", ERRAND_FAILED, permanent(Outside), "a tier, service, dispatcher or model route that a run needs does not exist";
    DependencyUnhealthy = "dependency_unhealthy", ERRAND_FAILED, OWN, "a service that a run needs is unhealthy";
    BriefTooLarge = "brief_too_large", USAGE, permanent(Outside), "the brief of a run is too large";
    BriefDamaged = "brief_damaged", ERRAND_FAILED, permanent(Outside), "a brief is not the one that the run names";

    // Servers.
    ServerUrlInvalid = "server_url_invalid", USAGE, OWN, "the address of a server cannot be read";
    ServerUnreachable = "server_unreachable", ERRAND_FAILED, OWN, "the server does not answer";
    NotAServer = "not_a_server", ERRAND_FAILED, OWN, "who answers is no errand server";
    ServerNewer = "server_newer", ERRAND_FAILED, OWN, "the server knows more than this version";
    ContextNotFound = "context_not_found", USAGE, OWN, "there is no context of that name";
    ContextInvalid = "context_invalid", USAGE, OWN, "a context, or its key file, cannot be used";
    OnlyLocal = "only_local", USAGE, OWN, "the command works on the registry of this machine only";
    RangeUnsatisfiable = "range_unsatisfiable", ERRAND_FAILED, OWN, "the part that is wanted is not there";

    // Everything else.
    ArchiveInvalid = "archive_invalid", ERRAND_FAILED, OWN, "the file is no export of a run";
    ArchiveDamaged = "archive_damaged", ERRAND_FAILED, OWN, "an export is not what was written";
    ArchiveNewer = "archive_newer", ERRAND_FAILED, OWN, "the export was written by a newer errand";
    Internal = "internal", ERRAND_FAILED, permanent(Outside), "errand did something wrong";
}

impl ErrorCode {
    /// Codes that `retry_policy.retry_on` can name: another attempt may mend such a failure.
    pub const RETRYABLE: &[Self] = &[
        Self::ExitNonzero,
        Self::KilledBySignal,
        Self::OutOfMemory,
        Self::TimeoutStep,
        Self::SpawnFailed,
        Self::EngineUnreachable,
        Self::ImageUnavailable,
        Self::ImageNotFound,
        Self::ContainerRefused,
        Self::BlobsFolderMissing,
        Self::BlobsUnreachable,
        Self::BlobsUploadCut,
        Self::DispatcherUnreachable,
        Self::NoActiveDispatcher,
        Self::BusUnreachable,
        Self::ClusterUnreachable,
        Self::ClusterRefused,
        Self::PodLost,
        Self::DiskFull,
        Self::IoFailed,
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
    /// Returns the code of an error of the operating system.
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

/// Error: the text is no error code of this version.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not an error code of this version")]
pub struct UnknownCode {
    /// The text.
    pub text: String,
}
