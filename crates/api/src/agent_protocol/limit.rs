//! Limits of calls. A larger one is refused before anything is recorded.

use std::time::Duration;

/// Bytes of a JSON body: held in memory while it is read.
pub const JSON_BODY_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of an artifact: streamed to disk.
pub const ARTIFACT_BYTES: u64 = 1024 * 1024 * 1024;
/// Bytes of an artifact's name.
pub const ARTIFACT_NAME_BYTES: usize = 200;
/// Events of one batch: they are recorded in one commit.
pub const EVENTS_PER_BATCH: usize = 1000;
/// Bytes of a command's standard output that `errand agent step` records. With base64 it fits a
/// JSON body.
pub const STEP_STDOUT_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of a command's standard error that `errand agent step` records.
pub const STEP_STDERR_BYTES: usize = 1024 * 1024;
/// Messages that one call appends to a session: they are recorded in one commit.
pub const MESSAGES_PER_APPEND: usize = 100;
/// Bytes of one message's content, as JSON.
pub const MESSAGE_BYTES: usize = 1024 * 1024;
/// Messages that one run sends to other agents.
pub const MESSAGES_PER_RUN: u32 = 1000;
/// Bytes of the role of a message.
pub const MESSAGE_ROLE_BYTES: usize = 32;
/// Messages of a session that one call answers with, unless it asks for fewer.
pub const MESSAGES_PER_ANSWER: u32 = 1000;
/// Bytes of messages that one call answers with: older ones are left out.
pub const MESSAGES_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of the name of a tool whose results a session keeps.
pub const TOOL_NAME_BYTES: usize = 200;
/// Bytes of a tool's result that a session keeps, as JSON.
pub const RESULT_BYTES: usize = 1024 * 1024;
/// Default time for which a session keeps a tool's result.
pub const RESULT_TTL: Duration = Duration::from_hours(24);
/// The longest that a session keeps a tool's result.
pub const RESULT_TTL_MOST: Duration = Duration::from_hours(24 * 365);
/// Bytes of an approval's action, and of its target.
pub const ACTION_BYTES: usize = 1024;
/// Bytes of what a person is told: an approval's summary, an input's prompt.
pub const QUESTION_BYTES: usize = 16 * 1024;
/// Bytes of the schema of an input: it is part of the journal.
pub const INPUT_SCHEMA_BYTES: usize = 24 * 1024;
/// Artifacts that one handoff names.
pub const HANDOFF_ARTIFACTS: usize = 100;
/// Bytes of the key of a question, and of the step that it names.
pub const QUESTION_KEY_BYTES: usize = 200;
/// Default wait of a call that asks a person: below the minute after which many clients and proxies
/// give up.
pub const ASK_WAIT_MS: u64 = 50_000;
/// Longest wait of such a call: a longer connection should send signs of life.
pub const ASK_WAIT_LIMIT_MS: u64 = 600_000;
/// Latest deadline: a hundred years away.
pub const DEADLINE_LIMIT_MS: u64 = 100 * 366 * 24 * 60 * 60 * 1000;
