//! The scripted target and the scripted harness pass the conformance suites.

use std::sync::Arc;

use errand_api::agent_file::TargetKind;
use errand_testkit::conformance::{HarnessSubject, Program, TargetSubject};
use errand_testkit::{ScriptedHarness, ScriptedTarget};

fn target() -> TargetSubject {
    TargetSubject::new(ScriptedTarget::new("scripted"), TargetKind::default())
}

fn harness() -> HarnessSubject {
    let harness = Arc::new(ScriptedHarness::new("acp"));
    HarnessSubject { harness, good: Program::Answers, bad: Program::Prints }
}

errand_testkit::target_conformance!(scripted_target, target());
errand_testkit::harness_conformance!(scripted_harness, harness());
