//! Frameworks for agents in Python, which tests and the example `langgraph-team` run as they are.

use crate::python::{self, Installed};
use crate::shell;

/// Packages besides those of the example.
const PACKAGES: [&str; 1] = ["openai-agents==0.24.0"];
/// Packages of the example `langgraph-team`, below the root of the repository.
const OF_THE_EXAMPLE: &str = "examples/langgraph-team/requirements.txt";
const SKIPPED: &str = "no agent of LangGraph or of the OpenAI Agents SDK was run, as the packages \
                       could not be had";

/// Installs them where the tests look for them: the virtual environment `frameworks/` in cargo's
/// folder for files of tests. Does nothing if it is there.
pub(crate) fn install() -> Installed {
    let folder = python::folder("frameworks");
    if python::is_ready(&folder) {
        return Installed::Yes;
    }
    let missing = format!("frameworks for agents ({OF_THE_EXAMPLE}, {})", PACKAGES.join(", "));
    let list = shell::root().join(OF_THE_EXAMPLE).to_string_lossy().into_owned();
    let wanted = [&["-r", &list][..], &PACKAGES].concat();
    python::install(&missing, SKIPPED, || python::environment(&folder, &wanted))
}
