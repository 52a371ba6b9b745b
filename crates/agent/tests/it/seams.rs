//! The process target and the command harness pass the conformance suites.

use std::sync::Arc;

use errand_agent::harness::CommandHarness;
use errand_agent::process::ProcessTarget;
use errand_api::agent_file::TargetKind;
use errand_testkit::conformance::{HarnessSubject, Program, TargetSubject};

fn target() -> TargetSubject {
    TargetSubject::new(ProcessTarget::default(), TargetKind::default())
}

fn harness() -> HarnessSubject {
    let harness = Arc::new(CommandHarness);
    HarnessSubject { harness, good: Program::Copies, bad: Program::Prints }
}

errand_testkit::target_conformance!(process_target, target());
errand_testkit::harness_conformance!(command_harness, harness());
