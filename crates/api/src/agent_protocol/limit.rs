//! How much a call may carry. What is larger is refused before anything is recorded.

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
