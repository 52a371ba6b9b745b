//! The agent crate against real processes, files and pipes.

mod endings;
mod following;
mod identities;
mod logs;
mod output;
mod starting;
mod support;
