//! The agent API: what an agent says to errand from inside its run, and what it hears.
//!
//! HTTP/1.1 with JSON at `$ERRAND_API` (`unix:///…` for local runs), authorised by
//! `Authorization: Bearer $ERRAND_TOKEN`, which is valid for one attempt. Paths are in [`path`],
//! limits in [`limit`]. An empty body stands for `{}`; a field that is not known is refused by
//! name; a call that is refused is answered with a [`AgentApiProblem`]. What was answered with 2xx
//! is durable.

mod budget;
mod checkin;
mod content;
mod control;
mod event;
mod handoff;
pub mod limit;
mod message;
mod output;
pub mod path;
mod person;
mod problem;
mod session;
mod step;

pub use budget::{BudgetProblem, Reserve, ReserveAnswer, ReserveKind};
pub use checkin::{AgentSeen, Checkin, CheckinAnswer};
pub use content::{ContentError, ValueEncoding, payload, unpack};
pub use control::ControlEvent;
pub use event::{ReportEvents, ReportEventsAnswer, ReportedEvent};
pub use handoff::{HandOver, HandOverAnswer};
pub use message::{AgentMessage, MessageAnswer, SendMessage};
pub use output::{
    ArtifactAnswer, BadArtifactName, Checkback, CheckbackStatus, CheckpointAnswer, Done,
    OutputPart, SaveCheckpoint, SetOutput, check_artifact_name,
};
pub use person::{ApprovalAnswer, AskApproval, AskInput, InputAnswer, InputStatus};
pub use problem::AgentApiProblem;
pub use session::{
    AgentSessionMessage, AppendMessages, AppendMessagesAnswer, KeepResult, KeepResultAnswer,
    MessagesAnswer, NewMessage, PutSession, ResultAnswer, SessionAnswer,
};
pub use step::{BeginStep, BeginStepAnswer, CompleteStep, FailStep, STEP_KINDS, StepError};
