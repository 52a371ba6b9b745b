//! What handlers take out of requests: everything that can be wrong with it is refused here.

mod body;
mod misfit;
mod params;
mod query;
mod run;
mod values;

pub(crate) use body::{Bytes, JsonBody, amount};
pub(crate) use misfit::Checked;
pub(crate) use params::Params;
pub(crate) use query::Query;
pub(crate) use run::OneRun;
