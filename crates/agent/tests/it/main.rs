//! The agent crate against real processes, files and pipes.

#![expect(clippy::unwrap_used, reason = "what helps tests fails as tests do")]

mod agent_api;
mod endings;
mod following;
mod identities;
mod logs;
mod members;
mod output;
mod parcel;
mod sandboxes;
mod seams;
mod secret;
mod starting;
mod support;
mod workspaces;
