//! How a server and a worker are configured: flags before environment variables before one file
//! before what is in force if nobody says anything.

mod file;
mod flags;
mod resolve;
mod show;

pub(crate) use flags::{ServerFlags, WorkerFlags};
pub(crate) use resolve::{Configuration, output_limit};
