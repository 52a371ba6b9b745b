//! SDK of the Model Context Protocol, which the tests of the tool gateway run as it is.

use crate::python::{self, Installed};

/// Package of the SDK.
const PACKAGES: [&str; 1] = ["mcp==2.3.0"];
const SKIPPED: &str = "no tool was called by the SDK of the protocol, which could not be had";

/// Installs it where the test looks for it: the virtual environment `tool-sdks/` in cargo's folder
/// for files of tests. Does nothing if it is there.
pub(crate) fn install() -> Installed {
    let folder = python::folder("tool-sdks");
    if python::is_ready(&folder) {
        return Installed::Yes;
    }
    let missing = format!("SDK of tool servers ({})", PACKAGES.join(", "));
    python::install(&missing, SKIPPED, || python::environment(&folder, &PACKAGES))
}
