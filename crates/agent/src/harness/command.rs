//! The harness `command`: any program, with its input on stdin and its output on stdout.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use errand_api::error_code::ErrorCode;

use super::{AgentFailure, Ended, Harness, StreamUse};
use crate::agent_api::Backend;
use crate::target::{Exit, Live};

/// The harness `command`. The program speaks the agent API by itself, or not at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommandHarness;

#[async_trait]
impl Harness for CommandHarness {
    fn name(&self) -> &'static str {
        "command"
    }

    fn streams(&self) -> StreamUse {
        StreamUse::Payload
    }

    async fn drive(&self, live: &dyn Live, _backend: Arc<dyn Backend>) -> io::Result<Ended> {
        let exit = live.wait().await?;
        let failure = AgentFailure::of_exit(&exit);
        Ok(Ended { exit, failure, answer: None })
    }
}

impl AgentFailure {
    /// Returns the failure of a program with this end; `None` if it exited with code 0.
    pub fn of_exit(exit: &Exit) -> Option<Self> {
        if let Some(failure) = &exit.failure {
            return Some(Self { code: failure.code, message: failure.message.clone() });
        }
        let (code, message) = match (exit.signal, exit.code) {
            (Some(_), _) | (None, Some(1..)) if exit.oom_kills > 0 => {
                let message = "the kernel ended processes of the agent that used more memory than \
                               resources.memory";
                (ErrorCode::OutOfMemory, message.to_owned())
            }
            (Some(signal), _) => {
                (ErrorCode::KilledBySignal, format!("the agent was ended by signal {signal}"))
            }
            (None, Some(0)) => return None,
            (None, Some(code)) => {
                (ErrorCode::ExitNonzero, format!("the agent exited with code {code}"))
            }
            (None, None) => (ErrorCode::ExitNonzero, "the agent has no exit code".to_owned()),
        };
        Some(Self { code, message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{ExitUsage, Stdout};

    fn check(code: Option<i32>, signal: Option<i32>, expect: Option<(ErrorCode, &str)>) {
        let (usage, stdout) = (ExitUsage::default(), Stdout::Memory(Vec::new()));
        let exit = Exit {
            code,
            signal,
            usage,
            stdout,
            stderr_tail: None,
            stragglers: 0,
            oom_kills: 0,
            failure: None,
        };
        let failure = AgentFailure::of_exit(&exit);
        let expect = expect.map(|(code, text)| AgentFailure { code, message: text.to_owned() });
        assert_eq!(failure, expect);
    }

    #[test]
    fn an_exit_code_of_zero_is_the_only_good_end() {
        check(Some(0), None, None);
        check(Some(3), None, Some((ErrorCode::ExitNonzero, "the agent exited with code 3")));
        let killed = (ErrorCode::KilledBySignal, "the agent was ended by signal 9");
        check(None, Some(9), Some(killed));
        check(None, None, Some((ErrorCode::ExitNonzero, "the agent has no exit code")));
    }

    #[test]
    fn an_agent_that_fails_after_the_kernel_killed_in_it_is_out_of_memory() {
        let (usage, stdout) = (ExitUsage::default(), Stdout::Memory(Vec::new()));
        let of = |code, oom_kills| {
            let (signal, stdout) = (None, stdout.clone());
            let exit = Exit {
                code,
                signal,
                usage,
                stdout,
                stderr_tail: None,
                stragglers: 0,
                oom_kills,
                failure: None,
            };
            AgentFailure::of_exit(&exit).map(|failure| failure.code)
        };
        assert_eq!(of(Some(137), 1), Some(ErrorCode::OutOfMemory));
        assert_eq!(of(Some(137), 0), Some(ErrorCode::ExitNonzero));
        assert_eq!(of(Some(0), 1), None);
    }
}
