//! Parser of metrics in Prometheus' own client for Python.

use crate::python::{self, Installed};

const PACKAGE: &str = "prometheus-client";
const SKIPPED: &str = "metrics were not read by Prometheus' own parser, which could not be had";

/// Installs it where the test looks for it: the virtual environment `prometheus/` in cargo's folder
/// for files of tests. Does nothing if it is there.
pub(crate) fn install() -> Installed {
    let folder = python::folder("prometheus");
    if python::is_ready(&folder) {
        return Installed::Yes;
    }
    python::install(PACKAGE, SKIPPED, || python::environment(&folder, &[PACKAGE]))
}
