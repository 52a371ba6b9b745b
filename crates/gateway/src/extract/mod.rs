//! Extractors of request data, which refuse invalid data.

mod body;
mod params;
mod query;
mod run;
mod values;

pub(crate) use body::{Bytes, JsonBody, amount};
pub(crate) use params::Params;
pub(crate) use query::Query;
pub(crate) use run::OneRun;
