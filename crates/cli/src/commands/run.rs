//! `errand run`: runs an agent, in the foreground or detached.

use std::path::{Path, PathBuf};
use std::time::Duration;

use errand_agent::log::LogStream;
use errand_agent::target::Chunk;
use errand_api::error_code::ErrorCode;
use errand_api::exit_code;
use errand_api::record::RunRecord;
use errand_blobs::BlobAddress;
use errand_engine::agents;
use errand_engine::launch::{self, Needs};
use errand_engine::submission::{CheckedSubmission, Submission};
use errand_engine::supervise::{HangUp, SignalListener, SupervisorChannels, supervise};
use errand_engine::{Engine, record_file, sessions, values, wait};
use errand_model::RunId;
use errand_model::budget::LimitName;
use errand_model::callback::CallbackEvent;
use errand_model::event::{CancelCause, OnBusy, RunKind};
use errand_model::run::Status;
use errand_store::{Admitted, Lease, Stored};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::brief_args::BriefArgs;
use super::busy::Busy;
use super::made_agent::{self, MadeAgent};
use super::run_end::{report, show_record};
use super::submit::{self, CheckedRunDraft, Common, RunDraft, RunInput};
use super::{away, family, held_up, helper_report, named_elsewhere};
use crate::context::Context;
use crate::failure::Failure;
use crate::user::user;

/// Chunks of output that wait for a slow terminal before the agent has to.
const TEE_CHUNKS: usize = 16;

#[derive(Debug, clap::Args)]
#[command(after_help = concat!("\
Examples:
  errand run examples/code-review                     review the last change, here and now
  errand run -d --name review examples/code-review    the same in the background
  errand run my-agent --job '{\"task\": \"tidy\"}'        with a payload
  errand run my-agent --job @task.json                with a payload from a file
  git diff | errand run my-agent --job -              with a payload from stdin
  errand run --image alpine:3 -- uname -a             a command in a container
  errand run -- ./review.sh --all                     a command in this folder
  errand run --provider anthropic=ANTHROPIC_API_KEY -- claude -p 'fix the tests'
                                                      the same with its model calls recorded", crate::args::target_options!()))]
pub(crate) struct Args {
    /// The agent: its folder, or its agent file
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    #[command(flatten)]
    made: MadeAgent,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    brief: BriefArgs,
    /// The payload: text, @FILE, or - for stdin
    #[arg(long, value_name = "PAYLOAD")]
    job: Option<String>,
    /// Wake the agent without a task; a payload may come with it
    #[arg(long, value_name = "PAYLOAD", num_args = 0..=1, conflicts_with = "job")]
    #[expect(clippy::option_option, reason = "a flag with an optional value, as clap reads it")]
    heartbeat: Option<Option<String>>,
    /// End the run after so long, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = submit::duration)]
    timeout: Option<Duration>,
    /// With --session: what happens while another run of the session is under way
    #[arg(long, value_name = "CHOICE", value_enum, requires = "session")]
    on_busy: Option<Busy>,
    /// Cancel the run if it could not begin for so long, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = submit::duration)]
    queue_timeout: Option<Duration>,
    /// Tighten a limit, such as `cost_usd_per_run=0.50`; may be given again
    #[arg(long = "budget", value_name = "LIMIT=VALUE", value_parser = submit::limit)]
    budgets: Vec<(LimitName, u64)>,
    /// Report how the run ends to this URL; a server (`errand up`) on this registry delivers it
    #[arg(long, value_name = "URL", value_parser = submit::callback_url)]
    callback_url: Option<String>,
    /// Report these as well or instead, such as run.completed,approval.requested
    #[arg(
        long = "callback-event",
        value_name = "TYPE",
        value_delimiter = ',',
        requires = "callback_url"
    )]
    callback_events: Vec<CallbackEvent>,
    /// Place of the blobs.
    #[arg(
        long,
        value_name = "PLACE",
        help = "Keep blobs (briefs, artifacts, checkpoints) in this folder or bucket, DIR or \
                s3://bucket/prefix: recorded in a registry that has no such place yet \
                [env: ERRAND_BLOBS]"
    )]
    blobs: Option<String>,
    /// Idempotency key: a repeated call gives the same run
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// If an equal run is unfinished or completed, give that one instead
    #[arg(long)]
    dedup: bool,
    /// Run even if --dedup would find an equal run
    #[arg(long, requires = "dedup")]
    force: bool,
}

/// Checked run that is to be left running.
pub(crate) struct DetachedRunDraft {
    pub(super) checked: CheckedRunDraft,
    pub(super) json: bool,
    /// Place of the blobs, if the caller names one.
    pub(super) blobs: Option<BlobAddress>,
}

/// Checks a run that is to be left running by a helper on this machine. `None` for any other one, and
/// for a path without an agent file or with one that has problems: [`run`] reports them.
pub(crate) fn check_detached(
    context: &Context,
    args: &Args,
) -> Result<Option<DetachedRunDraft>, Failure> {
    if !args.common.detach || context.server()?.is_some() {
        return Ok(None);
    }
    context.check_owner()?;
    let blobs = context.blob_address(args.blobs.as_deref())?;
    match check(context, args) {
        Err(failure)
            if failure.code() == ErrorCode::AgentFileMissing
                || named_elsewhere::is_about_the_file(&failure) =>
        {
            Ok(None)
        }
        checked => Ok(Some(DetachedRunDraft { checked: checked?, json: args.common.json, blobs })),
    }
}

/// Runs what was checked as [`check_detached`] says, with a helper that is started as a program.
pub(crate) async fn launch_detached(
    context: &Context,
    draft: DetachedRunDraft,
) -> Result<u8, Failure> {
    let DetachedRunDraft { checked, json, blobs } = draft;
    checked.check_names(context).await?;
    let engine = context.engine_keeping_blobs(blobs.as_ref())?;
    refuse_own_session(context, &engine, &checked, true).await?;
    let submission = checked.pack(&engine).await?;
    detach(context, &engine, submission, json).await
}

/// Runs an agent.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let (detached, json) = (args.common.detach, args.common.json);
    if let Some(remote) = context.remote()? {
        if args.blobs.is_some() {
            let message = "--blobs is about the registry of this machine: a server has its own";
            return Err(Failure::new(ErrorCode::OnlyLocal, message));
        }
        let asked = args.run_input(context)?;
        let made = args.made.for_server(context)?;
        let made = made.as_ref().map(TempDir::path);
        let path = made.map_or_else(|| made_agent::given_path(args.path.as_deref()), Ok)?;
        return away::run(context, &remote, (path, &args.common), &asked).await;
    }
    let checked = match check(context, &args) {
        Err(failure) if failure.code() == ErrorCode::AgentFileMissing => {
            let Some(path) = &args.path else { return Err(failure) };
            return Err(say_if_registered(context, failure, path).await);
        }
        Err(failure) => {
            let Some(path) = &args.path else { return Err(failure) };
            return Err(named_elsewhere::all_problems(context, path, failure).await);
        }
        Ok(checked) => checked,
    };
    checked.check_names(context).await?;
    let blobs = context.blob_address(args.blobs.as_deref())?;
    let engine = context.engine_keeping_blobs(blobs.as_ref())?;
    refuse_own_session(context, &engine, &checked, detached).await?;
    let submission = checked.pack(&engine).await?;
    if detached {
        return detach(context, &engine, submission, json).await;
    }
    foreground(context, &engine, submission, json).await
}

/// Adds a hint to the refusal of a path without an agent file, if an agent of that name is
/// registered in this registry.
async fn say_if_registered(context: &Context, failure: Failure, path: &Path) -> Failure {
    let Some(reference) = path.to_str().filter(|text| !text.contains('/')) else { return failure };
    let Ok(engine) = context.engine() else { return failure };
    let (name, version) = agents::split_reference(reference);
    match agents::find(&engine, None, name, version).await {
        Ok(_) => failure.hint(format!(
            "{name:?} is a registered agent: `errand --server URL run {reference}` runs it, \
             `errand run ./{reference}` a folder of that name"
        )),
        Err(_) => failure,
    }
}

/// Refuses a run that would wait for itself or end itself: one of a session, started by the agent
/// that has the turn in that session.
pub(super) async fn refuse_own_session(
    context: &Context,
    engine: &Engine,
    draft: &CheckedRunDraft,
    detached: bool,
) -> Result<(), Failure> {
    let options = draft.options();
    let waits = match options.session_turn {
        Some(OnBusy::Enqueue) => !detached,
        Some(OnBusy::Interrupt | OnBusy::Rollback) => true,
        // Refused like any other run.
        Some(OnBusy::Reject) | None => false,
    };
    let own = context.variable("ERRAND_RUN_ID").and_then(|id| id.to_str()?.parse::<RunId>().ok());
    let Some(own) = own.filter(|_| waits) else { return Ok(()) };
    let Some(stored) = engine.store().load(&own).await? else { return Ok(()) };
    let spec = &stored.run.spec;
    if spec.session_turn.is_none() || spec.session_id != options.session_id {
        return Ok(());
    }
    let message = format!("run {own}, in which this command was given, has the turn itself");
    Err(Failure::new(ErrorCode::SessionBusy, message)
        .hint("leave the new run behind with -d: it begins when this one is over"))
}

impl Args {
    /// Parses and checks options and input.
    fn run_input(&self, context: &Context) -> Result<RunInput, Failure> {
        let (kind, payload) = match (&self.job, &self.heartbeat) {
            (Some(payload), _) => (RunKind::Job, Some(payload.as_str())),
            (None, Some(payload)) => (RunKind::Heartbeat, payload.as_deref()),
            (None, None) => (RunKind::Job, None),
        };
        let mut options = submit::options(context, &self.common)?;
        options.timeout = self.timeout;
        options.queue_timeout = self.queue_timeout;
        let on_busy = self.on_busy.map_or(OnBusy::default(), Into::into);
        options.session_turn = options.session_id.as_ref().map(|_| on_busy);
        options.budgets.clone_from(&self.budgets);
        options.dedup = self.dedup && !self.force;
        if self.idempotency_key.as_deref() == Some("") {
            return Err(Failure::new(ErrorCode::Usage, "--idempotency-key is empty"));
        }
        options.idempotency_key.clone_from(&self.idempotency_key);
        options.callback_url.clone_from(&self.callback_url);
        options.callback_events.clone_from(&self.callback_events);
        options.brief = self.brief.parts(payload)?;
        let input = payload.map(submit::payload).transpose()?;
        Ok(RunInput { kind, input, options })
    }
}

fn check(context: &Context, args: &Args) -> Result<CheckedRunDraft, Failure> {
    let source = if args.made.is_asked_for() {
        submit::made_agent(context, &args.made)?
    } else {
        submit::read_agent(made_agent::given_path(args.path.as_deref())?)?
    };
    let RunInput { kind, input, options } = args.run_input(context)?;
    RunDraft { source, kind, input, options, service: None }.check(context)
}

/// Executes a submission that repeats another run: in the foreground, or detached.
pub(crate) async fn carry_on(
    context: &Context,
    engine: &Engine,
    mut submission: Submission,
    json: bool,
) -> Result<u8, Failure> {
    submission.options.by = Some(user(context));
    let submission = CheckedSubmission::for_here(engine, submission)?;
    let options = &submission.submission().options;
    if options.detached || options.placement.is_some() {
        return detach(context, engine, submission, json).await;
    }
    foreground(context, engine, submission, json).await
}

/// Admits the run, launches its supervisor and returns once that began.
pub(crate) async fn detach(
    context: &Context,
    engine: &Engine,
    submission: CheckedSubmission,
    json: bool,
) -> Result<u8, Failure> {
    let agent = &submission.submission().parcel.agent;
    let mut needs = Needs { secrets: agent.secrets.clone(), is_family: false };
    let starts_others = agent.coordinator.is_some() || !agent.handoffs.is_empty();
    let is_dispatched = agent.dispatcher.is_some();
    // A worker claims the run: no process here runs it or waits for it.
    let is_placed = submission.submission().options.placement.is_some();
    let (run_id, admitted) = errand_engine::submit::admit(engine, submission).await?;
    let run_id = match admitted {
        Admitted::Existing(existing) => existing,
        Admitted::Created => {
            if starts_others || is_dispatched {
                needs = Needs::of(engine, &wait::load(engine, &run_id).await?.run);
            }
            if !is_placed {
                let report = launch::launch(engine, &run_id, 0, &needs)?;
                helper_report::check(context, engine, &run_id, report).await?;
            }
            run_id
        }
    };
    print_run(context, engine, &run_id, json).await?;
    Ok(0)
}

/// Prints the id or the record of a run that was left running.
pub(super) async fn print_run(
    context: &Context,
    engine: &Engine,
    run_id: &RunId,
    json: bool,
) -> Result<(), Failure> {
    if json {
        context.printer.json(&record(engine, run_id).await?)
    } else {
        context.printer.line(run_id.as_str())
    }
}

pub(crate) async fn record(engine: &Engine, run_id: &RunId) -> Result<RunRecord, Failure> {
    let stored = wait::load(engine, run_id).await?;
    let mut record = record_file::record(engine, &stored);
    record.waits_behind = sessions::waits_behind(engine, &stored).await?;
    Ok(record)
}

/// Supervises the run in this process, and shows its output at once.
pub(crate) async fn foreground(
    context: &Context,
    engine: &Engine,
    submission: CheckedSubmission,
    json: bool,
) -> Result<u8, Failure> {
    // Signals are listened for before there is a run that they could be about.
    let signals = SignalListener::listen(HangUp::Interrupts)
        .map_err(|error| Failure::internal("cannot listen for signals", &error))?;
    if submission.submission().parcel.agent.coordinator.is_some() {
        let (run_id, admitted) = errand_engine::submit::admit(engine, submission).await?;
        if let Admitted::Existing(existing) = admitted {
            return follow(context, engine, &existing, json).await;
        }
        let stored = Box::pin(family::show(context, engine, &signals, (&run_id, json))).await?;
        return report_stored(context, engine, &stored, json);
    }
    let (run_id, admitted) = errand_engine::submit::admit_held(engine, submission).await?;
    let stored = match admitted {
        Ok(lease) => Box::pin(show(context, engine, &signals, (&run_id, json), lease)).await?,
        Err(existing) => return follow(context, engine, &existing, json).await,
    };
    let stored = handed_over(context, engine, stored).await?;
    let code = report_stored(context, engine, &stored, json)?;
    if let Status::Failed { error, .. } = &stored.run.status
        && let Some(hint) = helper_report::listens_there(engine, &run_id, error.code.as_str()).await
    {
        context.printer.note(&format!("hint: {hint}"));
    }
    Ok(code)
}

/// Shows the output of a run until it ends. With `json`, stdout is for the record alone.
async fn show(
    context: &Context,
    engine: &Engine,
    signals: &SignalListener,
    (run_id, json): (&RunId, bool),
    lease: Lease,
) -> Result<Stored, Failure> {
    let (tee, mut chunks) = mpsc::channel::<Chunk>(TEE_CHUNKS);
    let channels = SupervisorChannels { control: signals.control(), tee: Some(tee), ready: None };
    let supervision = supervise(engine, run_id, lease, channels);
    let mut supervision = std::pin::pin!(supervision);
    let mut interrupted = std::pin::pin!(held_up::tell_interrupts(context, signals, run_id));
    let mut telling = std::pin::pin!(held_up::tell(context, engine, run_id, false));
    let mut shown: Result<(), Failure> = Ok(());
    loop {
        tokio::select! {
            biased;
            Some(chunk) = chunks.recv() => {
                // A reader that went away does not end the run: its log has everything.
                if shown.is_ok() {
                    shown = print(context, &chunk, json);
                }
            }
            ended = &mut supervision => {
                while let Ok(chunk) = chunks.try_recv() {
                    if shown.is_ok() {
                        shown = print(context, &chunk, json);
                    }
                }
                let ended = ended?;
                return match shown {
                    // The log has everything, but the output here is incomplete.
                    Err(failure) if !failure.is_broken_pipe() => Err(failure),
                    Ok(()) | Err(_) => Ok(ended),
                };
            }
            never = &mut telling => match never {},
            never = &mut interrupted => match never {},
        }
    }
}

fn print(context: &Context, chunk: &Chunk, json: bool) -> Result<(), Failure> {
    match chunk.stream {
        LogStream::Stdout if !json => context.printer.bytes(&chunk.bytes),
        LogStream::Stdout | LogStream::Stderr | LogStream::System => {
            context.printer.stderr(&chunk.bytes);
            Ok(())
        }
    }
}

/// Waits for the successors of a run that was handed over, and returns the last one; any other run
/// unchanged.
async fn handed_over(
    context: &Context,
    engine: &Engine,
    mut stored: Stored,
) -> Result<Stored, Failure> {
    while let (Status::Completed { .. }, Some(handoff)) =
        (&stored.run.status, stored.run.handoff.as_deref())
    {
        let next = handoff.run_id.clone();
        context.printer.note(&format!("run {} is carried on by run {next}", stored.run.id));
        stored = match wait::until_over(engine, &next, None).await? {
            wait::WaitEnd::Reached(stored) | wait::WaitEnd::TimedOut(stored) => *stored,
        };
    }
    Ok(stored)
}

/// Waits for the equal run that stands in for this one, and reports it.
async fn follow(
    context: &Context,
    engine: &Engine,
    run_id: &RunId,
    json: bool,
) -> Result<u8, Failure> {
    context.printer.note(&format!("run {run_id} does the same and stands in for this one"));
    match wait::until_over(engine, run_id, None).await? {
        wait::WaitEnd::Reached(stored) | wait::WaitEnd::TimedOut(stored) => {
            report_stored(context, engine, &stored, json)
        }
    }
}

fn report_stored(
    context: &Context,
    engine: &Engine,
    stored: &Stored,
    json: bool,
) -> Result<u8, Failure> {
    let was_interrupted =
        matches!(stored.run.status, Status::Cancelled { cause: CancelCause::Interrupted, .. });
    let mut record = record_file::record(engine, stored);
    if json {
        values::put_in(engine, &stored.run, &mut record, u64::MAX);
    }
    show_record(context, &record, json)?;
    report(context, &record, was_interrupted.then_some(exit_code::INTERRUPTED))
}
