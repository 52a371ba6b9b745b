//! S3 service that tests start: moto.

use crate::python::{self, Installed};
use crate::shell;

/// The package, with the parts for its server and for S3.
const PACKAGE: &str = "moto[server,s3]==5.2.1";
const SKIPPED: &str =
    "blobs were not kept in S3: its service for tests, moto, could not be installed";

/// Installs it where tests look for it: the virtual environment `moto/` in cargo's folder for files of
/// tests. Does nothing if it is there, or on the search path.
pub(crate) fn install() -> Installed {
    let folder = python::folder("moto");
    if python::is_ready(&folder) || shell::has_program("moto_server") {
        return Installed::Yes;
    }
    python::install(PACKAGE, SKIPPED, || python::environment(&folder, &[PACKAGE]))
}
