//! Bounds of the tool gateway, each with its reason.

use std::time::Duration;

/// Longest message of a server, in bytes. Images and files come inside of results; one that is
/// longer ends the server.
pub(crate) const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Largest request of an agent.
pub(crate) const REQUEST_BYTES: usize = 16 * 1024 * 1024;
/// Calls of one server under way at once; others wait.
pub(crate) const CALLS: usize = 64;
/// Messages to a server that wait to be written.
pub(crate) const OUTGOING: usize = 64;
/// Lines on stdout that are no message before a server counts as failed: some print a greeting.
pub(crate) const STRAY_LINES: usize = 100;
/// Longest line of a server's stderr in the log; the rest of it is left out.
pub(crate) const LOG_LINE_BYTES: usize = 8 * 1024;
/// Lines of stderr that an error quotes.
pub(crate) const TAIL_LINES: usize = 10;
/// Bytes of stderr that an error quotes.
pub(crate) const TAIL_BYTES: usize = 2 * 1024;
/// Time limit for a server to start and to list its tools. Servers that are fetched by a package
/// manager take tens of seconds.
pub(crate) const START_TIME: Duration = Duration::from_secs(120);
/// Tools of one server. Models cannot choose among more.
pub(crate) const TOOLS: usize = 1_000;
/// Pages of one server's list of tools.
pub(crate) const PAGES: usize = 100;
/// Tools of one answer to an agent.
pub(crate) const PAGE: usize = 200;
/// Longest name of a tool: model providers refuse longer ones.
pub(crate) const NAME_CHARS: usize = 64;
/// Delay before a server that died is started again; doubles with each start that follows.
pub(crate) const RESTART_DELAY: Duration = Duration::from_millis(100);
/// Longest delay before a restart.
pub(crate) const RESTART_DELAY_LIMIT: Duration = Duration::from_secs(10);
/// Starts of one server in an attempt.
pub(crate) const STARTS: u32 = 10;
/// Time for a server to end once its stdin is closed.
pub(crate) const END_GRACE: Duration = Duration::from_millis(500);
/// Longest time for which a call waits for a person: clients of tools give up after a minute.
pub(crate) const PATIENCE: Duration = Duration::from_secs(50);
/// Different calls of an attempt whose occurrences are counted.
pub(crate) const DIGESTS: usize = 100_000;
