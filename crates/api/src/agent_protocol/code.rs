//! The codes of problems that the agent API answers with. Stable: programs match on them.

/// 401: no token, another one, or one of an attempt that is over.
pub const UNAUTHORIZED: &str = "unauthorized";
/// 404: no such path.
pub const NOT_FOUND: &str = "not_found";
/// 405: the path has other methods.
pub const METHOD_NOT_ALLOWED: &str = "method_not_allowed";
/// 400: the body is not what the call takes.
pub const BODY_INVALID: &str = "body_invalid";
/// 413: the body is over its limit.
pub const BODY_TOO_LARGE: &str = "body_too_large";
/// 408: the body did not come in time.
pub const BODY_TIMEOUT: &str = "body_timeout";
/// 409: another attempt of the run took over; this one must end.
pub const FENCED: &str = "fenced";
/// 400: the step's key is empty, too long or has control characters.
pub const STEP_KEY_INVALID: &str = "step_key_invalid";
/// 409: the step was not begun.
pub const STEP_NOT_BEGUN: &str = "step_not_begun";
/// 409: the step is completed, with another result.
pub const STEP_ALREADY_COMPLETED: &str = "step_already_completed";
/// 400: the event's type or data is not one that agents report.
pub const EVENT_NOT_REPORTABLE: &str = "event_not_reportable";
/// 400: not a name for an artifact.
pub const ARTIFACT_NAME_INVALID: &str = "artifact_name_invalid";
/// 404: the run belongs to no session.
pub const NO_SESSION: &str = "no_session";
/// 404: the run has no brief.
pub const NO_BRIEF: &str = "no_brief";
/// 409: the session was changed since it was read.
pub const SESSION_CONFLICT: &str = "session_conflict";
/// 501: part of a later version.
pub const NOT_AVAILABLE_YET: &str = "not_available_yet";
/// 503: errand is shutting down.
pub const SHUTTING_DOWN: &str = "shutting_down";
/// 500: a bug or a broken machine.
pub const INTERNAL: &str = "internal";
/// A step's failure: it took longer than its limit.
pub const TIMEOUT_STEP: &str = "timeout_step";
/// A step's failure: its command exited with a code other than 0.
pub const EXIT_NONZERO: &str = "exit_nonzero";
/// A step's failure: a signal ended its command.
pub const KILLED_BY_SIGNAL: &str = "killed_by_signal";
/// A step's failure: its command was not found.
pub const COMMAND_NOT_FOUND: &str = "command_not_found";
/// A step's failure: its command cannot be executed.
pub const COMMAND_NOT_EXECUTABLE: &str = "command_not_executable";
/// A step's failure: its command could not be started.
pub const SPAWN_FAILED: &str = "spawn_failed";
