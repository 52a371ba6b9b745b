//! The agent crate against real processes, files and pipes.

mod agent_api;
mod endings;
mod following;
mod identities;
mod logs;
mod output;
mod parcel;
mod secret;
mod starting;
mod support;
