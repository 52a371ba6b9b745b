//! What handles each route: a file per verb, and the one list in which they meet the table.

mod get_openapi;
mod get_run;

use crate::router::{Handled, handled};

/// Every handler, by the name of its route in the table.
pub(crate) fn handlers() -> Vec<Handled> {
    let mut all = vec![handled("get_openapi", get_openapi::get_openapi)];
    all.extend(runs());
    all
}

/// Those of runs.
fn runs() -> Vec<Handled> {
    vec![handled("get_run", get_run::get_run)]
}
