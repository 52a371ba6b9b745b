//! `errand logs`: what a run printed.

use std::io::{self, Write as _};
use std::time::Duration;

use errand_agent::Clock as _;
use errand_agent::log::{Counted, Followed, Line, Query, Reader, Stream, follow, marker};
use errand_api::error_code::ErrorCode;
use errand_engine::{Engine, logs, wait};
use errand_model::event::RunKind;
use errand_model::{RunId, Timestamp};

use crate::context::Context;
use crate::failure::Failure;
use crate::place::Place;
use crate::remote::{LogAsk, Remote};

/// Output is handed on in pieces of this size.
const BUFFER_BYTES: usize = 64 * 1024;

/// Arguments of `errand logs`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags that are typed")]
pub(crate) struct Args {
    /// The run: its id, a unique part of it, or its name
    run: String,
    /// Go on until the run ends
    #[arg(short, long)]
    follow: bool,
    /// Only so many lines from the end
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<usize>,
    /// Only what was printed since: a duration such as 10m, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Only what was printed in that attempt
    #[arg(long, value_name = "N", conflicts_with_all = ["tail", "since"])]
    attempt: Option<u32>,
    /// Put the time before each line
    #[arg(short, long)]
    timestamps: bool,
    /// Show errand's own lines about the run too
    #[arg(long)]
    system: bool,
}

/// How far back.
#[derive(Clone, Copy, Debug)]
enum Since {
    Ago(Duration),
    At(Timestamp),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(ago) = errand_model::parse_duration(text) {
        return Ok(Since::Ago(ago));
    }
    chrono::DateTime::parse_from_rfc3339(text)
        .map(|time| Since::At(Timestamp::from_millis(time.timestamp_millis())))
        .map_err(|_| {
            "write a duration such as 10m, or a time such as 2026-01-31T12:00:00Z".to_owned()
        })
}

/// Shows a log.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let place = context.place()?;
    let run_id = place.resolve(context, &args.run).await?;
    let since = args.since.map(|since| match since {
        Since::At(at) => at,
        Since::Ago(ago) => {
            let now = errand_agent::SystemClock.now().as_millis();
            Timestamp::from_millis(now - i64::try_from(ago.as_millis()).unwrap_or(now))
        }
    });
    let (kind, attempts, coordinates) = match &place {
        Place::Here(engine) => {
            let run = wait::load(engine, &run_id).await?.run;
            (run.spec.kind, run.last_attempt_number(), run.spec.plan.is_some())
        }
        Place::There(remote) => {
            let record = remote.record(&run_id).await?;
            (record.kind, record.attempt, record.coordinator.is_some())
        }
    };
    if coordinates && !args.system {
        let children = format!("`errand ps -a --filter parent={run_id}` lists them");
        let note = format!("run {run_id} prints nothing itself, its children do: {children}");
        context.printer.note(&note);
        return Ok(0);
    }
    // What a service has to say is when it was woken: the output is in the logs of its wakes.
    let is_service = kind == RunKind::Service;
    if let Some(number) = args.attempt.filter(|number| !(1..=attempts).contains(number)) {
        let message = format!("run {run_id} has no attempt {number}");
        return Err(Failure::new(ErrorCode::FilterInvalid, message)
            .hint(format!("it had {attempts} so far: `errand inspect-run {run_id}` shows them")));
    }
    let args = Args { system: args.system || is_service, ..args };
    let counted = if args.system { Counted::All } else { Counted::Output };
    let query = Query { tail: args.tail, since, counted };
    match &place {
        Place::Here(engine) => here(context, engine, &run_id, (&args, query)).await,
        Place::There(remote) => there(context, remote, &run_id, (&args, query)).await,
    }
}

async fn here(
    context: &Context,
    engine: &Engine,
    run_id: &RunId,
    (args, query): (&Args, Query),
) -> Result<u8, Failure> {
    let path = logs::path(engine, run_id)?;
    let unreadable = |error: io::Error| Failure::io("read", &path, &error);
    let mut reader = Reader::open(&path, query).map_err(unreadable)?;
    let mut screen = Screen::new(args);
    if args.follow {
        let ended = async {
            // A run that is gone has ended too.
            tokio::select! {
                _ = wait::until_over(engine, run_id, None) => {}
                () = logs::keep_up(engine, run_id) => {}
            }
            // Its last lines are there a moment later.
            drop(logs::path(engine, run_id));
        };
        let mut failed = None;
        let followed = follow(&mut reader, ended, |followed| {
            screen.take(followed).inspect_err(|error| failed = Some(error.kind()))
        });
        return match followed.await {
            Ok(()) => Ok(0),
            Err(error) if failed.is_some() => Err(Failure::stdout(&error)),
            Err(error) => Err(unreadable(error)),
        };
    }
    while let Some(line) = reader.next_line().map_err(unreadable)? {
        screen.take(Followed::Line(line)).map_err(|error| Failure::stdout(&error))?;
    }
    screen.take(Followed::Idle).map_err(|error| Failure::stdout(&error))?;
    if !screen.has_shown && !path.exists() {
        context.printer.note(&format!("run {run_id} has no log"));
    }
    Ok(0)
}

async fn there(
    context: &Context,
    remote: &Remote,
    run_id: &RunId,
    (args, query): (&Args, Query),
) -> Result<u8, Failure> {
    let mut screen = Screen::new(args);
    remote.log(run_id, LogAsk { query, follow: args.follow }, |piece| screen.take(piece)).await?;
    if !screen.has_shown && !args.follow {
        context.printer.note(&format!("run {run_id} has no log"));
    }
    Ok(0)
}

/// Where lines go: the agent's stdout to stdout, its stderr to stderr, in order.
#[expect(clippy::struct_excessive_bools, reason = "flags that were typed, and one result")]
pub(super) struct Screen {
    with_time: bool,
    with_system: bool,
    /// The only attempt to be shown, and the one whose lines come.
    attempt: Option<u32>,
    at_attempt: u32,
    out: Vec<u8>,
    err: Vec<u8>,
    has_shown: bool,
}

impl Screen {
    /// What an agent printed, and nothing else, as it comes.
    pub(super) fn of_output() -> Self {
        Self {
            with_time: false,
            with_system: false,
            attempt: None,
            at_attempt: 1,
            out: Vec::with_capacity(BUFFER_BYTES),
            err: Vec::new(),
            has_shown: false,
        }
    }

    fn new(args: &Args) -> Self {
        Self {
            with_time: args.timestamps,
            with_system: args.system,
            attempt: args.attempt,
            at_attempt: 1,
            out: Vec::with_capacity(BUFFER_BYTES),
            err: Vec::new(),
            has_shown: false,
        }
    }

    pub(super) fn take(&mut self, followed: Followed<'_>) -> io::Result<()> {
        match followed {
            Followed::Line(line) => self.line(&line),
            Followed::Idle => self.flush(),
        }
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        if line.stream == Some(Stream::System) {
            self.at_attempt = marker::beginning(line.text).unwrap_or(self.at_attempt);
        }
        if self.attempt.is_some_and(|wanted| wanted != self.at_attempt) {
            return Ok(());
        }
        self.has_shown = true;
        match line.stream {
            Some(Stream::System) if !self.with_system => return Ok(()),
            Some(Stream::Stderr | Stream::System) => {
                if !self.out.is_empty() {
                    self.flush()?;
                }
                line.render(self.with_time, &mut self.err);
            }
            Some(Stream::Stdout) | None => {
                if !self.err.is_empty() {
                    self.flush()?;
                }
                line.render(self.with_time, &mut self.out);
            }
        }
        if self.out.len() + self.err.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.err.is_empty() {
            io::stderr().lock().write_all(&self.err)?;
            self.err.clear();
        }
        if !self.out.is_empty() {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&self.out)?;
            stdout.flush()?;
            self.out.clear();
        }
        Ok(())
    }
}
