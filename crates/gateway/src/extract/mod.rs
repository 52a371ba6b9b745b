//! What handlers take out of requests: everything that can be wrong with it is refused here.

mod body;
mod params;
mod query;
mod run;
mod values;

pub(crate) use body::{Bytes, JsonBody};
pub(crate) use params::Params;
pub(crate) use query::Query;
pub(crate) use run::OneRun;
