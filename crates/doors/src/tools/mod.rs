//! Tools of an attempt: servers that speak the Model Context Protocol, behind one address.
//!
//! The agent finds all tools at the path [`errand_agent::tool_door::PATH`] of its door, under names
//! that begin with their server's. A call is a step: it is begun before its server is called, and
//! its result is durable before the agent has it. Results are passed on as the server sent them.
//!
//! Deliberately absent: resources, prompts, sampling, and the journal.

mod bounds;
mod call;
mod endpoint;
mod exchange;
mod gateway;
mod http;
mod lines;
mod link;
mod occurrences;
mod offered;
mod rpc;
mod server;
mod session;
mod stderr;
mod stdio;

pub(crate) use endpoint::answer;
pub(crate) use gateway::ToolGateway;
