//! Bounds of a door, each with its reason.

use std::time::Duration;

/// Connections served at once; others wait in the socket's queue. Agents that call models in
/// parallel use tens.
pub(crate) const CONNECTIONS: usize = 512;
/// Upper bound of a request's line and headers, in bytes. Coding agents send long lists of beta
/// features.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;
/// Time limit for the head of a request, and for an idle connection. SDKs keep connections for
/// minutes between two calls.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(600);
/// Largest request: images and documents come inside of it, and providers refuse more.
pub(crate) const REQUEST_BYTES: usize = 64 * 1024 * 1024;
/// Largest answer that is passed on and kept: it is held in memory until it is recorded.
pub(crate) const ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Time limit for a connection to a provider.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(15);
/// Longest silence of a provider: the time limit of a whole call in SDKs.
pub(crate) const SILENCE: Duration = Duration::from_secs(600);
/// Longest call. A stream that never ends is cut after it.
pub(crate) const CALL_TIME: Duration = Duration::from_secs(3600);
/// Time for which the rest of a stream is awaited after its last event: providers send the usage
/// and close at once.
pub(crate) const AFTER_END: Duration = Duration::from_secs(2);
/// Time for which an answer is read on after its client has hung up, to learn its usage.
pub(crate) const READ_ON: Duration = Duration::from_secs(30);
/// Time for calls under way after the agent has ended.
pub(crate) const DRAIN: Duration = Duration::from_secs(3);
/// Output tokens that are reserved for a call whose request does not bound them: a long answer.
pub(crate) const OUTPUT_TOKENS: u64 = 4_096;
/// Different requests of an attempt whose occurrences are counted. Later ones count as first
/// occurrences, and are told apart by their number.
pub(crate) const DIGESTS: usize = 100_000;
/// Connections of an agent to hosts that are open at the same time: package managers use tens.
pub(crate) const TUNNELS: usize = 256;
/// Connections to hosts that an attempt may ask for: each is two events of the journal.
pub(crate) const EGRESS_CONNECTIONS: u64 = 10_000;
