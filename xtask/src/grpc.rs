//! An independent gRPC client, generated from the repository's definition with Python's tools.

use crate::python::{self, Installed};

/// Packages of the generator, and libraries of the client.
const PACKAGES: [&str; 3] = ["grpcio-tools", "grpcio-health-checking", "grpcio-reflection"];
const SKIPPED: &str = "gRPC was not called by a client of Python, which could not be had";

/// Installs them where the test looks for them: the virtual environment `grpc/` in cargo's folder
/// for files of tests. Does nothing if it is there.
pub(crate) fn install() -> Installed {
    let folder = python::folder("grpc");
    if python::is_ready(&folder) {
        return Installed::Yes;
    }
    let missing = format!("a gRPC client (from the packages {})", PACKAGES.join(", "));
    python::install(&missing, SKIPPED, || python::environment(&folder, &PACKAGES))
}
