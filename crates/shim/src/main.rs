//! `errand-shim`: the first process of a container.
//!
//! The shim starts the container's command, forwards signals, reaps processes, reports output and end, and
//! is `errand` for the agent in the container. It is linked statically, so that it needs nothing of
//! the image.

mod command;
mod control_group;
mod event;
mod first_process;
mod inside;
mod outbox;
mod pod;
mod processes;
mod pump;
mod relay;

use std::ffi::OsStr;
use std::process::ExitCode;

use errand_shim::file;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    if std::path::Path::new(&name).file_name() == std::path::Path::new(file::ERRAND).file_name() {
        return inside::run(arguments);
    }
    match arguments.next().as_deref().and_then(OsStr::to_str) {
        Some("run") if processes::is_first() => first_process::run(),
        Some("pod") if processes::is_first() => pod::run(),
        Some(_) | None => inside::refuse("errand-shim is started by errand, in a container"),
    }
}
