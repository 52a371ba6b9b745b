//! The model from outside: the table of transitions, and what holds for every journal.

#![expect(clippy::unwrap_used, reason = "a test ends where its expectation does")]

mod budget;
mod chain;
mod coordination;
mod draft;
mod histories;
mod schedule;
mod services;
mod session;
mod stored_commands;
mod table;
mod world;
