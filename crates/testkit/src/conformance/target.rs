//! Conformance suite of [`Target`]: one function per promise.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use errand_agent::os;
use errand_agent::target::{Exit, Input, LaunchSpec, Live, Streams, Target, TargetStartError};
use errand_api::agent_file::TargetKind;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use super::{Program, TestAttempt};
use crate::wait::LIMIT;

/// Target under test. It understands `/bin/sh -c` with the scripts of [`Program`].
#[derive(Clone, Debug)]
pub struct TargetSubject {
    /// The target.
    pub target: Arc<dyn Target>,
    /// The place as an agent file would describe it.
    pub place: TargetKind,
    /// Owner of everything that the target needs while it is tested, such as an engine.
    pub owner: Option<Arc<dyn Debug + Send + Sync>>,
}

impl TargetSubject {
    /// Returns the subject of a target that needs nothing of the test.
    pub fn new(target: impl Target + 'static, place: TargetKind) -> Self {
        Self { target: Arc::new(target), place, owner: None }
    }

    /// Returns the order to start `program` in this target.
    pub fn spec(&self, attempt: &TestAttempt, program: Program) -> LaunchSpec {
        LaunchSpec { place: self.place.clone(), ..attempt.spec(program) }
    }
}

/// Declares the conformance tests of a target, as a module of that name.
#[macro_export]
macro_rules! target_conformance {
    ($name:ident, $subject:expr) => {
        mod $name {
            use super::*;
            $crate::conformance_tests! { $subject, target:
                a_conversation_is_taken_once_and_its_end_is_end_of_input,
            }
            $crate::target_tests! { $subject }
        }
    };
}

/// Declares the conformance tests of a target whose agents cannot converse, as a module of that name.
#[macro_export]
macro_rules! target_conformance_without_conversation {
    ($name:ident, $subject:expr) => {
        mod $name {
            use super::*;
            $crate::target_tests! { $subject }
        }
    };
}

/// Declares the conformance tests that every target passes.
#[doc(hidden)]
#[macro_export]
macro_rules! target_tests {
    ($subject:expr) => {
        $crate::conformance_tests! { $subject, target:
            exit_code_output_and_log_are_those_of_the_agent,
            input_reaches_the_agent,
            wait_may_be_cancelled_and_returns_the_same_exit_twice,
            stop_ends_the_agent_and_may_be_repeated,
            stop_without_grace_kills_an_agent_that_refuses_to_end,
            a_shorter_grace_period_counts,
            a_frozen_agent_is_frozen_until_it_is_thawed_and_can_be_stopped,
            no_attempt_has_a_second_agent,
            end_ends_everything_of_a_run_once,
        }
    };
}

/// Declares a test for each function of a conformance suite.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($subject:expr, $suite:ident: $($test:ident,)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                $crate::conformance::$suite::$test(&$subject).await;
            }
        )*
    };
}

/// Waits for `future`; fails past the limit.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("it takes too long")
}

async fn started(
    subject: &TargetSubject,
    attempt: &TestAttempt,
    program: Program,
) -> Box<dyn Live> {
    let spec = subject.spec(attempt, program);
    soon(subject.target.start(&spec, attempt.output())).await.expect("it starts")
}

async fn exit(live: &dyn Live) -> Exit {
    soon(live.wait()).await.expect("it ends")
}

fn has_failed(exit: &Exit) -> bool {
    exit.code != Some(0)
}

/// An agent's exit code, stdout, stderr and log are what it printed; its locator names the target.
pub async fn exit_code_output_and_log_are_those_of_the_agent(subject: &TargetSubject) {
    let attempt = TestAttempt::default();
    let live = started(subject, &attempt, Program::Prints).await;
    assert_eq!(live.locator().target, subject.target.name());
    let exit = exit(live.as_ref()).await;
    assert_eq!((exit.code, exit.signal), (Some(3), None));
    assert_eq!(exit.stdout.in_memory(), b"out\n");
    assert_eq!(exit.stderr_tail.as_deref(), Some("err"));
    let log = attempt.log();
    assert!(log.contains("stdout F out\n") && log.contains("stderr F err\n"), "{log}");
}

/// The run's input is the agent's stdin.
pub async fn input_reaches_the_agent(subject: &TargetSubject) {
    let attempt = TestAttempt::default();
    let mut spec = subject.spec(&attempt, Program::Copies);
    spec.streams = Streams::Payload(Input::Bytes(b"given\n".to_vec()));
    let live = soon(subject.target.start(&spec, attempt.output())).await.expect("it starts");
    let exit = exit(live.as_ref()).await;
    assert_eq!((exit.code, exit.stdout.in_memory()), (Some(0), b"given\n".as_slice()));
}

/// Waiting has no effect, so it may be cancelled and repeated.
pub async fn wait_may_be_cancelled_and_returns_the_same_exit_twice(subject: &TargetSubject) {
    let attempt = TestAttempt::default();
    let live = started(subject, &attempt, Program::Prints).await;
    let cancelled = timeout(Duration::from_micros(1), live.wait()).await;
    drop(cancelled);
    let (first, second) = (exit(live.as_ref()).await, exit(live.as_ref()).await);
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
}

/// An agent that is asked to end ends; asking again changes nothing.
pub async fn stop_ends_the_agent_and_may_be_repeated(subject: &TargetSubject) {
    let attempt = TestAttempt::default();
    let live = started(subject, &attempt, Program::Sleeps).await;
    live.stop(LIMIT);
    live.stop(LIMIT);
    assert!(has_failed(&exit(live.as_ref()).await));
    live.stop(Duration::ZERO);
    assert!(has_failed(&exit(live.as_ref()).await));
}

/// Waits until the agent has printed something.
async fn refusing(subject: &TargetSubject, attempt: &TestAttempt) -> Box<dyn Live> {
    let (output, mut taken) = attempt.teed_output();
    let spec = subject.spec(attempt, Program::Refuses);
    let live = soon(subject.target.start(&spec, output)).await.expect("it starts");
    soon(taken.recv()).await.expect("it prints that it is ready");
    live
}

/// Without a grace period the agent is killed at once.
pub async fn stop_without_grace_kills_an_agent_that_refuses_to_end(subject: &TargetSubject) {
    let attempt = TestAttempt::default();
    let live = refusing(subject, &attempt).await;
    live.stop(Duration::ZERO);
    assert!(has_failed(&exit(live.as_ref()).await));
}

/// Of two grace periods the shorter one counts, also while the end is waited for.
pub async fn a_shorter_grace_period_counts(subject: &TargetSubject) {
    let attempt = TestAttempt::default();
    let live = refusing(subject, &attempt).await;
    live.stop(LIMIT * 10);
    let waiting = exit(live.as_ref());
    let (exit, ()) = tokio::join!(waiting, async { live.stop(Duration::from_millis(10)) });
    assert!(has_failed(&exit));
}

/// A frozen agent executes nothing; a stop ends it all the same.
pub async fn a_frozen_agent_is_frozen_until_it_is_thawed_and_can_be_stopped(
    subject: &TargetSubject,
) {
    let attempt = TestAttempt::default();
    let live = refusing(subject, &attempt).await;
    let supervisor = os::own_identity().expect("this process has an identity");
    let is_frozen = || async {
        let frozen = subject.target.is_frozen(&attempt.run_id, &supervisor);
        soon(frozen).await.expect("it can be known")
    };
    assert!(!is_frozen().await);
    for _ in 0..2 {
        soon(live.freeze()).await.expect("it can be frozen");
        assert!(is_frozen().await);
    }
    soon(live.thaw()).await;
    assert!(!is_frozen().await);
    soon(live.freeze()).await.expect("it can be frozen");
    live.stop(Duration::ZERO);
    assert!(has_failed(&exit(live.as_ref()).await));
}

/// A second start of an attempt gives the agent that lives, or is refused.
pub async fn no_attempt_has_a_second_agent(subject: &TargetSubject) {
    let attempt = TestAttempt::default();
    let live = started(subject, &attempt, Program::Sleeps).await;
    match subject.target.start(&subject.spec(&attempt, Program::Sleeps), attempt.output()).await {
        Ok(again) => assert_eq!(again.locator(), live.locator()),
        Err(TargetStartError::AlreadyStarted { attempt, .. }) => assert_eq!(attempt, 1),
        Err(other) => panic!("{other:?}"),
    }
    live.stop(Duration::ZERO);
    exit(live.as_ref()).await;
}

/// Ending a run ends its agent; ending it again finds nothing.
pub async fn end_ends_everything_of_a_run_once(subject: &TargetSubject) {
    let attempt = TestAttempt::default();
    let live = refusing(subject, &attempt).await;
    let known = [live.locator()];
    let end = || subject.target.end(&attempt.run_id, &known, Duration::ZERO);
    assert!(soon(end()).await.expect("it can be ended") >= 1);
    assert!(has_failed(&exit(live.as_ref()).await));
    assert_eq!(soon(end()).await.expect("it can be ended"), 0);
    let unknown = TestAttempt::default();
    let ended = subject.target.end(&unknown.run_id, &[], Duration::ZERO);
    assert_eq!(soon(ended).await.expect("it can be ended"), 0);
}

/// A harness takes stdin and stdout once; the agent reads the end of input when it drops stdin.
pub async fn a_conversation_is_taken_once_and_its_end_is_end_of_input(subject: &TargetSubject) {
    let attempt = TestAttempt::default();
    let payload = started(subject, &attempt, Program::Prints).await;
    assert!(payload.take_conversation().is_none());
    exit(payload.as_ref()).await;
    let attempt = TestAttempt::default();
    let spec =
        LaunchSpec { streams: Streams::Conversation, ..subject.spec(&attempt, Program::Copies) };
    let live = soon(subject.target.start(&spec, attempt.output())).await.expect("it starts");
    let mut conversation = live.take_conversation().expect("its stdin and stdout");
    assert!(live.take_conversation().is_none());
    conversation.to_agent.write_all(b"hello\n").await.expect("it reads");
    let mut lines = BufReader::new(conversation.from_agent).lines();
    let line = soon(lines.next_line()).await.expect("it answers");
    assert_eq!(line.as_deref(), Some("hello"));
    drop(conversation.to_agent);
    let exit = exit(live.as_ref()).await;
    assert_eq!((exit.code, exit.stdout.in_memory()), (Some(0), b"".as_slice()));
}
