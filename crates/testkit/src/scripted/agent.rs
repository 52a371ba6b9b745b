//! Agent that lives in a task of the test's process.

use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use errand_agent::target::{Exit, ExitUsage, Input, Kept, OutputSink, Stdout, Streams};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::conformance::Program;

/// Signal that an agent is ended with when it is asked.
const ASKED: i32 = 15;
/// Signal that an agent is killed with.
const KILLED: i32 = 9;

/// Shared state of an agent: orders to it, and its end.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) kill_at: watch::Sender<Option<Instant>>,
    pub(super) is_frozen: watch::Sender<bool>,
    pub(super) exit: watch::Sender<Option<Exit>>,
    pub(super) conversation: Mutex<Option<errand_agent::target::Conversation>>,
}

impl Shared {
    pub(super) fn new(conversation: Option<errand_agent::target::Conversation>) -> Self {
        Self {
            kill_at: watch::Sender::new(None),
            is_frozen: watch::Sender::new(false),
            exit: watch::Sender::new(None),
            conversation: Mutex::new(conversation),
        }
    }

    pub(super) fn stop(&self, grace: Duration) {
        let asked = Instant::now() + grace;
        self.kill_at.send_modify(|at| *at = Some(at.map_or(asked, |at| at.min(asked))));
    }

    pub(super) fn has_ended(&self) -> bool {
        self.exit.borrow().is_some()
    }

    pub(super) async fn ended(&self) -> io::Result<Exit> {
        let mut exit = self.exit.subscribe();
        let ended = exit.wait_for(Option::is_some).await.map_err(io::Error::other)?;
        ended.clone().ok_or_else(|| io::Error::other("the agent has no end"))
    }
}

/// Stdin of an agent.
pub(super) type Stdin = Pin<Box<dyn AsyncRead + Send>>;

/// Stdout of an agent.
pub(super) enum Out {
    /// Log, and output of the run.
    Sink(Box<OutputSink>),
    /// Read by a harness.
    Conversation(Pin<Box<dyn AsyncWrite + Send>>),
}

impl Out {
    async fn print(&mut self, bytes: &[u8]) {
        match self {
            Self::Sink(sink) => sink.push(bytes).await,
            // A harness that is gone reads nothing.
            Self::Conversation(pipe) => drop(pipe.write_all(bytes).await),
        }
    }
}

/// Returns the bytes that stdin has from the beginning; none for a conversation.
pub(super) fn given(streams: &Streams) -> io::Result<Option<Vec<u8>>> {
    match streams {
        Streams::Conversation => Ok(None),
        Streams::Payload(Input::Empty) => Ok(Some(Vec::new())),
        Streams::Payload(Input::Bytes(bytes)) => Ok(Some(bytes.clone())),
        Streams::Payload(Input::File(path)) => std::fs::read(path).map(Some),
    }
}

/// Runs an agent to its end, which `shared` then has.
pub(super) async fn run(
    program: Program,
    shared: &Shared,
    stdin: Stdin,
    (mut out, mut err): (Out, OutputSink),
) {
    let started = Instant::now();
    let (code, signal) = tokio::select! {
        code = thawed(shared, interpret(program, stdin, (&mut out, &mut err))) => (Some(code), None),
        signal = ended_by(program, shared) => (None, Some(signal)),
    };
    let stdout = match out {
        Out::Sink(sink) => match sink.finish().await {
            Kept::Stdout(stdout) => stdout,
            Kept::StderrTail(_) => Stdout::Memory(Vec::new()),
        },
        Out::Conversation(_) => Stdout::Memory(Vec::new()),
    };
    let stderr_tail = match err.finish().await {
        Kept::StderrTail(tail) => tail,
        Kept::Stdout(_) => None,
    };
    let usage = ExitUsage { wall: started.elapsed(), ..ExitUsage::default() };
    let exit = Exit {
        code,
        signal,
        usage,
        stdout,
        stderr_tail,
        stragglers: 0,
        oom_kills: 0,
        failure: None,
    };
    shared.exit.send_replace(Some(exit));
}

/// Does what the program does, and returns its exit code.
async fn interpret(
    program: Program,
    mut stdin: Stdin,
    (out, err): (&mut Out, &mut OutputSink),
) -> i32 {
    match program {
        Program::Prints => {
            out.print(b"out\n").await;
            err.push(b"err\n").await;
            3
        }
        Program::Sleeps => std::future::pending().await,
        Program::Refuses => {
            out.print(b"ready\n").await;
            std::future::pending().await
        }
        Program::Copies => {
            let mut buffer = [0; 1024];
            while let Ok(count) = stdin.read(&mut buffer).await {
                if count == 0 {
                    break;
                }
                out.print(&buffer[..count]).await;
            }
            0
        }
        Program::Answers => {
            let mut line = String::new();
            let read = BufReader::new(stdin).read_line(&mut line).await;
            out.print(format!("answer {}\n", line.trim_end()).as_bytes()).await;
            i32::from(read.is_err())
        }
    }
}

/// Polls `agent` only while it is not frozen.
async fn thawed<T>(shared: &Shared, agent: impl Future<Output = T>) -> T {
    let mut is_frozen = shared.is_frozen.subscribe();
    let mut agent = std::pin::pin!(agent);
    loop {
        let frozen = *is_frozen.borrow_and_update();
        tokio::select! {
            biased;
            // The sender lives as long as the agent.
            _ = is_frozen.changed() => {}
            done = &mut agent, if !frozen => return done,
        }
    }
}

/// Waits until the agent is asked to end, or killed if it refuses. Returns the signal.
async fn ended_by(program: Program, shared: &Shared) -> i32 {
    let mut kill_at = shared.kill_at.subscribe();
    loop {
        let at = *kill_at.borrow_and_update();
        match at {
            Some(at) if program == Program::Refuses || at <= Instant::now() => tokio::select! {
                () = tokio::time::sleep_until(at) => return KILLED,
                _ = kill_at.changed() => {}
            },
            Some(_) => return ASKED,
            None => drop(kill_at.changed().await),
        }
    }
}
