//! SDKs of model providers, which the tests of the model gateway run as they are.

use crate::python::{self, Installed};

/// Packages of the SDKs.
const PACKAGES: [&str; 3] = ["openai", "anthropic", "google-genai"];
const SKIPPED: &str = "no model was called by an SDK of a provider, which could not be had";

/// Installs them where the test looks for them: the virtual environment `model-sdks/` in cargo's
/// folder for files of tests. Does nothing if it is there.
pub(crate) fn install() -> Installed {
    let folder = python::folder("model-sdks");
    if python::is_ready(&folder) {
        return Installed::Yes;
    }
    let missing = format!("SDKs of model providers ({})", PACKAGES.join(", "));
    python::install(&missing, SKIPPED, || python::environment(&folder, &PACKAGES))
}
