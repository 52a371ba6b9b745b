//! The engine against real sockets, processes and files.

#![expect(clippy::unwrap_used, reason = "a test ends where its expectation does")]

mod agents;
mod crashes;
mod family;
mod garbage;
mod hooks;
mod listener;
mod members;
mod news;
mod outbox;
mod queue;
mod reconcile;
mod schedules;
mod seams;
mod shared;
mod support;
mod turns;
mod worker;
