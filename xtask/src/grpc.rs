//! A gRPC client that is not ours, made of the definition in the repository by the tools of Python.

use crate::python::{self, Installed};

/// What the test's client is made of, and its libraries.
const PACKAGES: [&str; 3] = ["grpcio-tools", "grpcio-health-checking", "grpcio-reflection"];
const SKIPPED: &str = "gRPC was not called by a client of Python, which could not be had";

/// Puts them where the test looks for them: the virtual environment `grpc/` in cargo's folder for
/// files of tests. Does nothing where it is.
pub(crate) fn install() -> Installed {
    let folder = python::folder("grpc");
    if python::is_ready(&folder) {
        return Installed::Yes;
    }
    let missing = format!("a gRPC client (from the packages {})", PACKAGES.join(", "));
    python::install(&missing, SKIPPED, || python::environment(&folder, &PACKAGES))
}
