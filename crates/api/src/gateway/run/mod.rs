//! Runs: started, looked at, waited for, ended.

mod budgets;
mod page;
mod request;
mod routes;

pub use budgets::{MalformedBudget, RunBudgets};
pub use page::{AnyKind, EventPage, EventQuery, RunPage, RunQuery, RunStatus, SetQuery};
pub use request::{Disconnect, OnBusy, RunKind, RunRequest, RunTimeouts, WaitQuery};
pub use routes::AREA;
