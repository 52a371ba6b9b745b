//! Runs: started, looked at, waited for, ended.

mod budgets;
mod graph;
mod page;
mod request;
mod routes;

use serde::{Deserialize as _, Deserializer};
use serde_json::Value;

pub use budgets::{MalformedBudget, RunBudgets};
pub use graph::{ExportQuery, GraphFormat, GraphQuery, MessageQuery, TraceQuery};
pub use page::{
    EventPage, EventQuery, FollowQuery, JournalEvent, RunPage, RunQuery, RunStatus, SetQuery,
    StepPage, StepRecord,
};
pub use request::{Disconnect, RequestedKind, RunRequest, RunTimeouts, WaitQuery};
pub use routes::*;

/// Regular expression of a run's id.
pub const RUN_ID: &str = "^[0-9abcdefghjkmnpqrstvwxyz]{20}$";

/// `null` is an input; a field that is not there is none.
pub(crate) fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
