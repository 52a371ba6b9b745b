//! Merged logs of a coordinator's descendants, or of a service's wakes: each line has the key of
//! its step, or the reason and id of its wake, before it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use errand_agent::log::{
    LogLine, LogPiece, LogReader, LogStream, MergeStep, Merged, Query, marker,
};
use errand_agent::os::watch::Watch;
use errand_api::error_code::ErrorCode;
use errand_engine::{Engine, logs, wait};
use errand_model::{RunId, Timestamp};
use tokio::time::{Instant, sleep};

use super::Args;
use super::family::{Change, Family, Member};
use super::screen::{BUFFER_BYTES, flush};
use super::source::Logs;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;

/// Interval of looks for new output without a notification.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Time for which output of several logs is gathered, so that it is shown in order.
const GATHER: Duration = Duration::from_millis(20);
/// Interval at which journals of a server are queried.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Time for which a server's output is received before it is shown.
const COME: Duration = Duration::from_millis(100);
/// Width up to which names are padded.
const NAME_WIDTH: usize = 40;

/// Shows the logs of a family.
pub(super) async fn show(
    context: &Context,
    place: &RegistryOrServer,
    run_id: &RunId,
    (args, query, is_service): (&Args, Query, bool),
) -> Result<u8, Failure> {
    let (logs, engine) = match place {
        RegistryOrServer::Here(engine) => (Logs::Here(engine), Some(engine)),
        RegistryOrServer::There(remote) => {
            let folder = context.variable("TMPDIR").map_or_else(|| "/tmp".into(), PathBuf::from);
            (Logs::there(remote, query, args.follow, folder), None)
        }
    };
    let mut show = Show {
        logs,
        family: Family::of(run_id.clone()),
        merged: Merged::new(query),
        screen: Screen::new(args),
        runs: Vec::new(),
        numbers: BTreeMap::new(),
    };
    if args.system || is_service {
        // A service's own log tells the reasons of its wakes.
        show.top(run_id).await?;
    }
    show.look().await?;
    if let Some(lines) = query.tail {
        show.screen.left_out = Box::pin(show.count(query)).await?.saturating_sub(lines);
    }
    match engine {
        Some(engine) if args.follow => show.follow(engine, run_id).await?,
        None if args.follow => show.follow_there().await?,
        Some(_) | None => {
            show.end_all()?;
            show.print().await?;
        }
    }
    let screen = &show.screen;
    if let Some(attempt) = args.attempt.filter(|attempt| *attempt > screen.last_attempt) {
        let what = if is_service { "wake" } else { "child" };
        let message = format!("no {what} of run {run_id} has an attempt {attempt}");
        return Err(Failure::new(ErrorCode::FilterInvalid, message)
            .hint(format!("`errand trace {run_id}` shows their attempts")));
    }
    show.tell_removed(context).await?;
    if !show.screen.has_shown && !args.follow {
        let what = if is_service { "wakes" } else { "children" };
        context.printer.note(&format!("the {what} of run {run_id} printed nothing"));
    }
    Ok(0)
}

struct Show<'a> {
    logs: Logs<'a>,
    family: Family,
    merged: Merged,
    screen: Screen,
    /// By the number of the log.
    runs: Vec<RunId>,
    numbers: BTreeMap<RunId, usize>,
}

impl Show<'_> {
    /// Adds the log of the coordinator itself, under the name of its agent.
    async fn top(&mut self, run_id: &RunId) -> Result<(), Failure> {
        let Some(first) = self.logs.events(run_id, 0).await?.into_iter().next() else {
            return Ok(());
        };
        let name = match first.body() {
            Ok(errand_model::event::EventBody::RunCreated(created)) => created.agent.name,
            Ok(_) | Err(_) => run_id.to_string(),
        };
        self.add((run_id.clone(), name, first.at), true);
        Ok(())
    }

    fn add(&mut self, (run_id, name, began_at): (RunId, String, Timestamp), with_system: bool) {
        let number = self.merged.add(began_at);
        self.numbers.insert(run_id.clone(), number);
        self.runs.push(run_id);
        self.screen.add(name, with_system);
    }

    /// Takes in the changes of the family since the last call.
    async fn look(&mut self) -> Result<(), Failure> {
        for change in Box::pin(self.family.look(&self.logs)).await? {
            match change {
                Change::Began(Member { run_id, name, began_at, coordinates }) => {
                    if !coordinates || self.screen.with_system {
                        let with_system = self.screen.with_system;
                        self.add((run_id, name, began_at), with_system);
                    }
                }
                // A server's copy is complete when the transfer ends.
                Change::Ended(run_id) => {
                    if let (Logs::Here(_), Some(number)) = (&self.logs, self.numbers.get(&run_id)) {
                        self.merged.end(*number).map_err(unreadable)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Prints notes about removed runs, whose output is missing.
    async fn tell_removed(&self, context: &Context) -> Result<(), Failure> {
        let silent = self.screen.names.iter().zip(&self.runs).filter(|(name, _)| !name.is_heard);
        for (name, run_id) in silent {
            if self.logs.events(run_id, 0).await?.is_empty() {
                let what = format!("run {run_id} was removed: what {} printed is gone", name.text);
                context.printer.note(&what);
            }
        }
        Ok(())
    }

    fn end_all(&mut self) -> Result<(), Failure> {
        (0..self.runs.len()).try_for_each(|number| self.merged.end(number)).map_err(unreadable)
    }

    /// Returns the number of wanted lines, reading each log by `query`.
    async fn count(&mut self, query: Query) -> Result<usize, Failure> {
        let mut lines = 0;
        for (number, run_id) in self.runs.iter().enumerate() {
            let path = self.logs.whole(number, run_id).await?;
            let mut reader = LogReader::open(&path, query).map_err(unreadable)?;
            while let Some(line) = reader.next_line().map_err(unreadable)? {
                let is_wanted = self.screen.is_wanted(number, line.stream);
                lines += usize::from(is_wanted && begins(line.part));
            }
            self.logs.forget(number);
        }
        Ok(lines)
    }

    /// Shows all available lines.
    async fn print(&mut self) -> Result<(), Failure> {
        loop {
            let number = match self.merged.next_line().map_err(unreadable)? {
                MergeStep::Nothing => {
                    return self.screen.flush().map_err(|it| Failure::stdout(&it));
                }
                MergeStep::Line(number, line) => {
                    self.screen.take(number, &line).map_err(|it| Failure::stdout(&it))?;
                    continue;
                }
                MergeStep::End(number) => {
                    self.logs.forget(number);
                    continue;
                }
                MergeStep::Open(number) => number,
            };
            let Some(run_id) = self.runs.get(number) else { continue };
            let path = self.logs.path(number, run_id).await?;
            self.merged.open(number, &path).map_err(|it| Failure::io("read", &path, &it))?;
        }
    }

    /// Follows logs of the local registry until the coordinator is over.
    async fn follow(&mut self, engine: &Engine, run_id: &RunId) -> Result<(), Failure> {
        let mut changes = engine.store().changes();
        let mut watch = Watch::new().map_err(unreadable)?;
        let runs = engine.registry().runs();
        watch.directory(&runs).map_err(|error| Failure::io("watch", &runs, &error))?;
        // The wait also reconciles the run.
        let mut over = pin!(wait::until_over(engine, run_id, None));
        let mut is_over = false;
        loop {
            self.look().await?;
            let is_last = is_over || self.family.is_over();
            if is_last {
                self.end_all()?;
            }
            let is_shared = engine.store().shared_logs().is_some();
            for (number, path) in self.merged.idle() {
                // Watched before it is read, so that no write is missed.
                if let Err(error) = watch.file(path)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    return Err(Failure::io("watch", path, &error));
                }
                if let (true, Some(run_id)) = (is_shared, self.runs.get(number)) {
                    // A shared log that cannot be reached may be back at the next look.
                    drop(logs::path(engine, run_id));
                }
            }
            self.merged.look().map_err(unreadable)?;
            self.print().await?;
            if is_last {
                return Ok(());
            }
            tokio::select! {
                _ = &mut over, if !is_over => is_over = true,
                _ = changes.recv() => {}
                changed = watch.changed() => changed.map_err(unreadable)?,
                () = sleep(LOOK_EVERY) => {}
            }
            if !is_over {
                sleep(GATHER).await;
            }
        }
    }
    /// Follows logs of a server until the coordinator is over.
    async fn follow_there(&mut self) -> Result<(), Failure> {
        let mut looked_at = Instant::now();
        loop {
            self.merged.look().map_err(unreadable)?;
            self.print().await?;
            let Logs::There(copies) = &mut self.logs else { return Ok(()) };
            if self.family.is_over() && copies.has_all() {
                return Ok(());
            }
            for number in copies.come(COME).await? {
                self.merged.end(number).map_err(unreadable)?;
            }
            if looked_at.elapsed() >= ASK_EVERY {
                self.look().await?;
                looked_at = Instant::now();
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
fn unreadable(error: io::Error) -> Failure {
    Failure::io("read", Path::new("the logs"), &error)
}

fn begins(part: LogPiece) -> bool {
    matches!(part, LogPiece::Whole | LogPiece::Start)
}

/// Output of lines of many logs: stdout lines to stdout, stderr lines to stderr.
#[expect(clippy::struct_excessive_bools, reason = "flags that were typed, and one result")]
struct Screen {
    with_time: bool,
    with_system: bool,
    attempt: Option<u32>,
    /// Highest attempt number of any log.
    last_attempt: u32,
    /// By the number of the log.
    names: Vec<Name>,
    width: usize,
    /// Number of lines still to be skipped.
    left_out: usize,
    /// Log and stream of the last line, if it is incomplete.
    open: Option<(usize, Option<LogStream>)>,
    has_shown: bool,
    out: Vec<u8>,
    err: Vec<u8>,
}

#[expect(clippy::struct_excessive_bools, reason = "a flag, and how far its lines are read")]
struct Name {
    text: String,
    /// True if errand's own lines in this log are shown.
    with_system: bool,
    at_attempt: u32,
    /// True if the log has any line.
    is_heard: bool,
    /// True if the current line is skipped.
    is_left_out: bool,
}

impl Screen {
    fn new(args: &Args) -> Self {
        Self {
            with_time: args.timestamps,
            with_system: args.system,
            attempt: args.attempt,
            last_attempt: 1,
            names: Vec::new(),
            width: 0,
            left_out: 0,
            open: None,
            has_shown: false,
            out: Vec::with_capacity(BUFFER_BYTES),
            err: Vec::new(),
        }
    }

    fn add(&mut self, text: String, with_system: bool) {
        self.width = self.width.max(text.len().min(NAME_WIDTH));
        let name = Name { text, with_system, at_attempt: 1, is_heard: false, is_left_out: false };
        self.names.push(name);
    }

    fn is_wanted(&self, number: usize, stream: Option<LogStream>) -> bool {
        stream != Some(LogStream::System)
            || self.names.get(number).is_some_and(|name| name.with_system)
    }

    fn take(&mut self, number: usize, line: &LogLine<'_>) -> io::Result<()> {
        let is_wanted = self.is_wanted(number, line.stream);
        let Some(name) = self.names.get_mut(number) else { return Ok(()) };
        name.is_heard = true;
        if line.stream == Some(LogStream::System)
            && let Some(attempt) = marker::beginning(line.text)
        {
            name.at_attempt = attempt;
            self.last_attempt = self.last_attempt.max(attempt);
        }
        if !is_wanted || self.attempt.is_some_and(|wanted| wanted != name.at_attempt) {
            return Ok(());
        }
        if begins(line.part) {
            name.is_left_out = self.left_out > 0;
            self.left_out = self.left_out.saturating_sub(1);
        }
        if name.is_left_out {
            return Ok(());
        }
        self.line(number, line)
    }

    fn line(&mut self, number: usize, line: &LogLine<'_>) -> io::Result<()> {
        self.has_shown = true;
        let this = (number, line.stream);
        let is_broken_off = self.open.is_some_and(|open| open != this);
        if let (true, Some((_, stream))) = (is_broken_off, self.open.take()) {
            self.side(stream)?.push(b'\n');
        }
        let goes_on = self.open == Some(this) && !begins(line.part);
        let (width, with_time) = (self.width, self.with_time);
        let name = self.names.get(number).map(|name| name.text.clone()).unwrap_or_default();
        let side = self.side(line.stream)?;
        if !goes_on {
            side.extend_from_slice(format!("{name:<width$} | ").as_bytes());
            if with_time && !line.at.is_empty() {
                side.extend_from_slice(line.at.as_bytes());
                side.push(b' ');
            }
        }
        side.extend_from_slice(line.text);
        let ends = matches!(line.part, LogPiece::Whole | LogPiece::End);
        if ends {
            side.push(b'\n');
        }
        self.open = (!ends).then_some(this);
        if self.out.len() + self.err.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Returns the buffer for a stream; lines gathered for the other one are written first.
    fn side(&mut self, stream: Option<LogStream>) -> io::Result<&mut Vec<u8>> {
        let is_err = matches!(stream, Some(LogStream::Stderr | LogStream::System));
        let other = if is_err { &self.out } else { &self.err };
        if !other.is_empty() {
            self.flush()?;
        }
        Ok(if is_err { &mut self.err } else { &mut self.out })
    }

    fn flush(&mut self) -> io::Result<()> {
        flush(&mut self.out, &mut self.err)
    }
}
