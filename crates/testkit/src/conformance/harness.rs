//! Conformance suite of [`Harness`]: one function per promise.

use std::sync::Arc;
use std::time::Duration;

use errand_agent::harness::{Ended, Harness, StreamUse};
use errand_agent::process::ProcessTarget;
use errand_agent::target::{Input, LaunchSpec, Live, Streams, Target as _};
use tokio::time::timeout;

use super::{MemoryBackend, Program, TestAttempt};
use crate::wait::LIMIT;

/// Harness under test, and agents that it can drive.
#[derive(Clone, Debug)]
pub struct HarnessSubject {
    /// The harness.
    pub harness: Arc<dyn Harness>,
    /// Agent that ends well.
    pub good: Program,
    /// Agent that does not end well.
    pub bad: Program,
}

/// Declares the conformance tests of a harness, as a module of that name.
#[macro_export]
macro_rules! harness_conformance {
    ($name:ident, $subject:expr) => {
        mod $name {
            use super::*;
            $crate::conformance_tests! { $subject, harness:
                an_agent_file_can_name_the_harness,
                an_agent_that_ends_well_has_no_failure,
                an_agent_that_fails_has_a_failure,
                a_stopped_agent_ends_the_drive,
                a_drive_that_is_dropped_leaves_the_agent_to_its_target,
                a_conversation_is_taken_where_the_harness_asks_for_one,
            }
        }
    };
}

/// Agent of a test, started in the target `process`.
struct Started {
    live: Box<dyn Live>,
    backend: Arc<MemoryBackend>,
    _attempt: TestAttempt,
}

async fn started(subject: &HarnessSubject, program: Program) -> Started {
    let attempt = TestAttempt::default();
    let streams = match subject.harness.streams() {
        StreamUse::Payload => Streams::Payload(Input::Bytes(b"input\n".to_vec())),
        StreamUse::Conversation => Streams::Conversation,
    };
    let spec = LaunchSpec { streams, ..attempt.spec(program) };
    let started = ProcessTarget::default().start(&spec, attempt.output()).await;
    let live = started.expect("it starts");
    Started { live, backend: Arc::default(), _attempt: attempt }
}

async fn driven(subject: &HarnessSubject, started: &Started) -> Ended {
    let backend = Arc::clone(&started.backend);
    let driven = subject.harness.drive(started.live.as_ref(), backend);
    timeout(LIMIT, driven).await.expect("it takes too long").expect("it ends")
}

/// The name of a harness is a value of `harness:` in agent files.
#[expect(clippy::unused_async, reason = "every promise has the same shape")]
pub async fn an_agent_file_can_name_the_harness(subject: &HarnessSubject) {
    let name = serde_json::Value::from(subject.harness.name());
    let read = serde_json::from_value::<errand_api::agent_file::HarnessKind>(name);
    assert_eq!(read.expect("agent files have it").name(), subject.harness.name());
}

/// An agent that ends well has an exit and no failure.
pub async fn an_agent_that_ends_well_has_no_failure(subject: &HarnessSubject) {
    let ended = driven(subject, &started(subject, subject.good).await).await;
    assert_eq!(ended.failure, None);
    assert_eq!(ended.exit.code, Some(0));
}

/// An agent that fails has a failure with a code and a text.
pub async fn an_agent_that_fails_has_a_failure(subject: &HarnessSubject) {
    let ended = driven(subject, &started(subject, subject.bad).await).await;
    let failure = ended.failure.expect("it has failed");
    assert!(!failure.message.is_empty());
}

/// A stop reaches the agent while it is driven, and the drive returns.
pub async fn a_stopped_agent_ends_the_drive(subject: &HarnessSubject) {
    let started = started(subject, Program::Sleeps).await;
    let driving = driven(subject, &started);
    let (ended, ()) = tokio::join!(driving, async {
        tokio::task::yield_now().await;
        started.live.stop(LIMIT);
    });
    assert!(ended.failure.is_some());
}

/// Dropping a drive ends nothing: the supervisor stops the agent.
pub async fn a_drive_that_is_dropped_leaves_the_agent_to_its_target(subject: &HarnessSubject) {
    let started = started(subject, Program::Sleeps).await;
    let driving = driven(subject, &started);
    assert!(timeout(Duration::from_millis(20), driving).await.is_err());
    started.live.stop(Duration::ZERO);
    let exit = timeout(LIMIT, started.live.wait()).await.expect("it takes too long");
    assert_eq!(exit.expect("it ends").code, None);
}

/// Stdin and stdout are taken by a harness that speaks a protocol, and by no other.
pub async fn a_conversation_is_taken_where_the_harness_asks_for_one(subject: &HarnessSubject) {
    let started = started(subject, subject.good).await;
    driven(subject, &started).await;
    assert!(started.live.take_conversation().is_none());
}
