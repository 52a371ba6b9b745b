//! Program that tests a running server against the description of its API.

use crate::python::{self, Installed};

/// The package, in the version with which the server was made to agree.
const PACKAGE: &str = "schemathesis==4.32.5";
const SKIPPED: &str = "the server was not held against its OpenAPI document by schemathesis, which \
                       could not be installed";

/// Installs it where the test looks for it: the virtual environment `schemathesis/` in cargo's
/// folder for files of tests. Does nothing if it is there.
pub(crate) fn install() -> Installed {
    let folder = python::folder("schemathesis");
    if python::is_ready(&folder) {
        return Installed::Yes;
    }
    python::install(PACKAGE, SKIPPED, || python::environment(&folder, &[PACKAGE]))
}
