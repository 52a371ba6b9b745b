//! External policies: programs and services that decide about calls.
//!
//! A policy gets the call as JSON and answers with a decision. Whatever goes wrong is a reason, with
//! which the call is denied: nothing here allows a call.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use errand_agent::process::{ServerPipes, ServerProcess};
use errand_api::agent_file::{ExternalPolicy, PolicyRules};
use errand_policy::{Policy, PolicyCall, PolicyDecision};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::PolicyInvalid;
use crate::command_line::{self, ProgramProblem};
use crate::health::{self, CheckEnvironment, HealthChecks};
use crate::{Engine, EngineContext, environment};

/// Longest answer: that of a policy which replaces the result of a tool.
const ANSWER_BYTES: usize = 4 * 1_024 * 1_024;
/// Bytes of what a program says on its stderr that are kept, for its reason.
const STDERR_BYTES: usize = 4 * 1_024;
/// Characters of them in a reason.
const SAID_CHARS: usize = 200;
/// External policies that are asked at the same time in a process: an agent may make any number of
/// calls at once.
const ASKED_AT_ONCE: usize = 16;

/// Places of external policies that are being asked.
static PLACES: Semaphore = Semaphore::const_new(ASKED_AT_ONCE);

/// Asks external policies in the name of this process.
#[derive(Clone, Debug, Default)]
pub struct ExternalPolicies {
    /// Environment of programs: the part of this process's that agents see.
    environment: CheckEnvironment,
    /// Client for services, with the addresses that may be asked.
    checks: Arc<HealthChecks>,
}

impl ExternalPolicies {
    /// Returns what asks for a process that acts for its caller alone: any address may be asked.
    pub fn unlimited(around: &EngineContext) -> Self {
        Self { environment: passed_on(around), checks: Arc::default() }
    }

    /// Returns what asks for the runs of an engine.
    pub(crate) fn of(engine: &Engine) -> Self {
        let environment = passed_on(engine.surroundings());
        Self { environment, checks: Arc::clone(engine.health_checks()) }
    }

    /// Decides about a call: by the rules and the program of a policy, and then by its external
    /// policy.
    pub async fn decide(&self, policy: &Policy, call: &PolicyCall) -> PolicyDecision {
        let decided = policy.decide(call);
        let Some(external) = policy.external(call, &decided) else { return decided };
        let mut seen = call.clone();
        if let (Some(member), Some(changed)) = (call.hook.replaces(), &decided.modified) {
            seen.input["call"][member] = changed.clone();
        }
        let answer = self.ask(external, &seen.input).await;
        Policy::with_answer(call, decided, answer.as_ref().map_err(Clone::clone))
    }

    /// Refuses rules whose external policy is a program that this machine does not have.
    ///
    /// # Errors
    ///
    /// [`PolicyInvalid`].
    pub fn check_program(&self, name: &str, rules: &PolicyRules) -> Result<(), PolicyInvalid> {
        let program = rules.external.as_ref().and_then(|external| external.command.first());
        match program {
            Some(program) => found(program, &self.environment)
                .map(drop)
                .map_err(|reason| PolicyInvalid { policy: name.to_owned(), reason }),
            None => Ok(()),
        }
    }

    /// Asks an external policy. `Err` has the reason for which there is no answer.
    async fn ask(&self, external: &ExternalPolicy, input: &Value) -> Result<Value, String> {
        // The semaphore is never closed.
        let _place = PLACES.acquire().await;
        let (limit, input) = (external.timeout(), input.to_string());
        let asked = async {
            match &external.url {
                Some(url) => by_url(&self.checks, url, input).await,
                None => by_command(&external.command, &self.environment, input).await,
            }
        };
        // A program that has not answered is killed with its group when its future is dropped.
        let answer = timeout(limit, asked).await;
        let answer = answer.map_err(|_| format!("none came within {} ms", limit.as_millis()))??;
        serde_json::from_slice(&answer).map_err(|error| format!("it is not JSON: {error}"))
    }
}

fn passed_on(around: &EngineContext) -> CheckEnvironment {
    let passed = around.environment.iter().filter(|(name, _)| environment::is_passed_on(name));
    passed.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Returns the full path of a program, which is the one that is started. `Err` has the reason for which
/// there is none.
fn found(program: &str, environment: &CheckEnvironment) -> Result<PathBuf, String> {
    let path = environment.iter().find(|(name, _)| name == "PATH");
    let path = path.map(|(_, path)| path.clone()).unwrap_or_default();
    command_line::find_on_machine(program, &path).map_err(|problem| match problem {
        ProgramProblem::NotFound { program } if program.contains('/') => {
            format!("its program {program:?} is not found: name it by its whole path")
        }
        ProgramProblem::NotFound { program } => {
            format!("its program {program:?} is not found on PATH")
        }
        ProgramProblem::NotExecutable { program, reason } => {
            format!("its program {program:?} cannot be executed: {reason}")
        }
    })
}

/// Runs a program with the call on its stdin, and returns what it prints.
async fn by_command(
    command: &[String],
    env: &CheckEnvironment,
    input: String,
) -> Result<Vec<u8>, String> {
    let program = command.first().map_or("", String::as_str);
    let arguments = command.iter().skip(1).map(OsString::from);
    let argv: Vec<OsString> =
        std::iter::once(found(program, env)?.into_os_string()).chain(arguments).collect();
    let (process, pipes) = ServerProcess::start(&argv, env, Path::new("/"))
        .map_err(|error| format!("{program} cannot be executed: {error}"))?;
    let ServerPipes { mut stdin, stdout, stderr } = pipes;
    let told = async move {
        // A program that does not read the call may decide all the same.
        drop(stdin.write_all(input.as_bytes()).await);
        drop(stdin);
    };
    let ended = async {
        process.ended().await;
        // Processes that it left behind have its pipes.
        process.end(Duration::ZERO).await
    };
    let (_, answer, said, code) =
        tokio::join!(told, up_to(stdout, ANSWER_BYTES), up_to(stderr, STDERR_BYTES), ended);
    if code != Some(0) {
        let said: String =
            String::from_utf8_lossy(&said.bytes).trim().chars().take(SAID_CHARS).collect();
        let end = code.map_or("was ended by a signal".to_owned(), |it| format!("exits with {it}"));
        let colon = if said.is_empty() { "" } else { ": " };
        return Err(format!("{program} {end}{colon}{said}"));
    }
    if answer.is_cut {
        return Err(format!("{program} prints more than {ANSWER_BYTES} bytes"));
    }
    Ok(answer.bytes)
}

/// Bytes that were read to their end.
struct ReadBytes {
    bytes: Vec<u8>,
    /// There were more bytes than are kept.
    is_cut: bool,
}

/// Reads to the end, and keeps at most `limit` bytes.
async fn up_to(mut pipe: impl AsyncRead + Unpin, limit: usize) -> ReadBytes {
    let (mut bytes, mut piece, mut is_cut) = (Vec::new(), vec![0; 16 * 1_024], false);
    while let Ok(read @ 1..) = pipe.read(&mut piece).await {
        let room = limit - bytes.len();
        bytes.extend_from_slice(&piece[..read.min(room)]);
        is_cut |= read > room;
    }
    ReadBytes { bytes, is_cut }
}

/// Posts the call to a service, and returns its answer.
async fn by_url(checks: &HealthChecks, url: &str, input: String) -> Result<Vec<u8>, String> {
    let request = checks.client_for(url)?.post(url);
    let request = request.header("content-type", "application/json").body(input);
    let failed = |error: reqwest::Error| format!("{url}: {}", health::told(&error));
    let mut response = request.send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(format!("{url} answers {}", response.status().as_u16()));
    }
    let mut answer = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(failed)? {
        if answer.len() + bytes.len() > ANSWER_BYTES {
            return Err(format!("{url} answers with more than {ANSWER_BYTES} bytes"));
        }
        answer.extend_from_slice(&bytes);
    }
    Ok(answer)
}
