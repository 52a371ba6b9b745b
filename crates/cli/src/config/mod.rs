//! Configuration of servers and workers: flags win over environment variables, these over the file,
//! and that over the defaults.

mod file;
mod flags;
mod resolve;
mod show;

pub(crate) use flags::{ServerFlags, WorkerFlags};
pub(crate) use resolve::{Configuration, output_limit};
