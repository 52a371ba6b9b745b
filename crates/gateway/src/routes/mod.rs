//! What handles each route: a file per verb, and the one list in which they meet the table.
//!
//! A new route is three things: an entry in an area's table (`errand_api::gateway`, where its types
//! are too), a file here with its handler, and a line in the list below. The guard has looked at the
//! caller's key and its scope when a handler is called; an extractor of `crate::extract` has checked
//! query and body against the table; [`crate::extract::OneRun`] is a run of the caller's namespace.

mod follow_runs;
mod get_healthz;
mod get_metrics;
mod get_openapi;
mod get_readyz;
mod get_run;
mod keys;
mod list_audit;
mod list_events;
mod list_runs;

use crate::router::{Handled, handled};

/// Every handler, by the name of its route in the table.
pub(crate) fn handlers() -> Vec<Handled> {
    let mut all = meta();
    all.extend(runs());
    all.extend(access());
    all
}

/// Those that tell of the gateway itself.
fn meta() -> Vec<Handled> {
    vec![
        handled("get_openapi", get_openapi::get_openapi),
        handled("get_healthz", get_healthz::get_healthz),
        handled("get_readyz", get_readyz::get_readyz),
        handled("get_metrics", get_metrics::get_metrics),
    ]
}

/// Those of administrators.
fn access() -> Vec<Handled> {
    vec![
        handled("list_keys", keys::list_keys),
        handled("create_key", keys::create_key),
        handled("revoke_key", keys::revoke_key),
        handled("list_audit", list_audit::list_audit),
    ]
}

/// Those of runs.
fn runs() -> Vec<Handled> {
    vec![
        handled("get_run", get_run::get_run),
        handled("list_runs", list_runs::list_runs),
        handled("list_events", list_events::list_events),
        handled("follow_runs", follow_runs::follow_runs),
    ]
}
