//! The agent API: the server that an attempt's supervisor runs, and a client for programs inside.
//!
//! The server knows HTTP and the protocol; the meaning of a call is the [`Backend`]'s. Deliberately
//! absent: policy, the store, retries of calls that a backend refuses.

mod backend;
mod bind;
mod body;
mod call;
mod client;
mod context;
mod control;
mod dispatch;
pub mod limit;
mod message;
mod person;
mod query;
mod refusal;
mod response;
mod route;
mod server;
mod session;
mod token;
mod upload;
mod value;

pub use backend::{
    AnsweredModel, AnsweredTool, ApprovalCall, AskedModel, AttemptResult, Backend, BodyCheck,
    CalledTool, ConnectionFailure, ControlFeed, CoordinationBackend, EgressBackend, EgressKind,
    EgressPermit, EgressTarget, EndedConnection, InputCall, KeptResult, ModelCallBackend,
    ModelCallBegun, ModelCallEnd, ModelCallResult, ModelCallStart, ModelTryFailed, RefusedCall,
    RefusedTarget, SessionBackend, StepBegun, StepCall, StepCallResult, Terms, ToolCallBackend,
    ToolCallBegun, ToolCallEnd, ToolCallResult, ToolCallStart, Upload,
};
pub use bind::AgentApiBindError;
pub use client::{Client, ClientError};
pub use refusal::Refusal;
pub use server::{AgentApiServer, Bind, Revoke};
