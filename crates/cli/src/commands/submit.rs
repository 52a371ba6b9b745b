//! Builds submissions from the command line: everything is checked before anything is created.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use errand_agent::parcel::{self, Parcel, ParcelPlan};
use errand_agent::target::TargetStartError;
use errand_api::agent_file::{Agent, TargetKind};
use errand_api::error_code::ErrorCode;
use errand_engine::brief::BriefParts;
use errand_engine::dependencies;
use errand_engine::error::MemberError;
use errand_engine::outbox::CallbackUrl;
use errand_engine::run_options::{self, RunOptions, Unsettable};
use errand_engine::submission::{self, CheckedSubmission, Draft, DraftCheck, Submission};
use errand_engine::{Engine, service, trace_context};
use errand_model::budget::LimitName;
use errand_model::event::{RunKind, ServiceSpec, Trigger, TriggerKind};
use tempfile::TempDir;

use super::made_agent::MadeAgent;
use super::named_elsewhere;
use crate::context::Context;
use crate::failure::Failure;
use crate::user::user;

/// Largest payload.
pub(crate) const PAYLOAD_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

// Options that `run` and `serve` share.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// Return at once and leave it running; prints the run's id
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// A name to find the run by
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The conversation it belongs to
    #[arg(long, value_name = "SESSION")]
    pub(crate) session: Option<String>,
    /// A label; may be given again
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
    /// An environment variable for the agent; without a value, the one it has here; may be given
    /// again
    #[arg(short, long = "env", value_name = "KEY[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Send the model calls of the agent by this route of the catalog, in the place of its own
    #[arg(long, value_name = "NAME")]
    pub(crate) model_route: Option<String>,
    /// Print the run's record as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options and input of a run as typed, without its agent.
pub(super) struct RunInput {
    pub(super) kind: RunKind,
    pub(super) input: Option<Vec<u8>>,
    pub(super) options: RunOptions,
}

/// An agent that was read and checked, and is not packed yet.
pub(crate) struct Source {
    plan: ParcelPlan,
    shown: String,
    /// Folder of an agent that was made for this run; removed once it is packed.
    _made: Option<TempDir>,
}

impl Source {
    pub(crate) fn agent(&self) -> &Agent {
        self.plan.agent()
    }

    /// Packs the agent; returns its parcel and source path.
    pub(crate) fn publish(self, engine: &Engine) -> Result<(Parcel, String), Failure> {
        Ok((self.plan.publish(&engine.registry().parcels())?, self.shown))
    }
}

/// Reads and checks the agent at `path`; creates nothing.
pub(crate) fn read_agent(path: &Path) -> Result<Source, Failure> {
    let plan = parcel::plan(path)?;
    let shown = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Ok(Source { plan, shown: shown.display().to_string(), _made: None })
}

/// Makes and checks an agent for one run.
pub(super) fn made_agent(context: &Context, made: &MadeAgent) -> Result<Source, Failure> {
    let (folder, file) = made.write(context)?;
    let plan = parcel::plan(&folder.path().join(file)).map_err(|error| {
        if let parcel::Error::AgentFileInvalid { files } = &error
            && let Some(failure) = made.problem_of_options(files)
        {
            return failure;
        }
        error.into()
    })?;
    Ok(Source { plan, shown: made.shown(context), _made: Some(folder) })
}

/// Returns the options that `run` and `serve` share, checked.
pub(crate) fn options(context: &Context, common: &Common) -> Result<RunOptions, Failure> {
    if let Some(name) = &common.name {
        check_name(name)?;
    }
    if let Some(session) = &common.session {
        check_name(session)?;
    }
    let variable = |name| context.variable(name).and_then(OsStr::to_str).map(str::to_owned);
    let traceparent = variable("TRACEPARENT");
    let traceparent = traceparent.filter(|it| trace_context::Parent::read(it).is_some());
    Ok(RunOptions {
        name: common.name.clone(),
        labels: pairs(&common.labels, "--label", ErrorCode::LabelInvalid)?,
        env: variables(context, &common.env)?,
        session_id: common.session.clone(),
        timeout: None,
        queue_timeout: None,
        session_turn: None,
        budgets: Vec::new(),
        idempotency_key: None,
        dedup: false,
        detached: common.detach,
        cwd: utf8(&context.cwd)?,
        callback_url: None,
        callback_events: Vec::new(),
        namespace: None,
        placement: None,
        tracestate: traceparent
            .as_ref()
            .and_then(|_| variable("TRACESTATE"))
            .filter(|state| trace_context::is_tracestate(state)),
        traceparent,
        caller_env: None,
        by: Some(user(context)),
        brief: BriefParts::default(),
        task: None,
        model_route: common.model_route.clone(),
    })
}

fn utf8(path: &Path) -> Result<String, Failure> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::new(ErrorCode::Usage, format!("the folder {} has no UTF-8 name", path.display()))
    })
}

fn check_name(name: &str) -> Result<(), Failure> {
    if run_options::is_name(name) {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::NameInvalid, format!("{name:?} cannot be a name")).hint(format!(
        "1 to {} characters without control characters or blanks at the ends",
        run_options::NAME_LIMIT_CHARS
    )))
}

pub(crate) fn pairs(
    given: &[String],
    flag: &str,
    code: ErrorCode,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut pairs = BTreeMap::new();
    for text in given {
        let Some((key, value)) = text.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(Failure::new(code, format!("{flag} {text:?} is no pair"))
                .hint(format!("write {flag} key=value")));
        };
        pairs.insert(key.to_owned(), value.to_owned());
    }
    Ok(pairs)
}

fn variables(context: &Context, given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let given: Vec<String> =
        given.iter().map(|text| with_own_value(context, text)).collect::<Result<_, _>>()?;
    let env = pairs(&given, "--env", ErrorCode::EnvInvalid)?;
    for (name, value) in &env {
        match run_options::check_variable(name, value) {
            Ok(()) => {}
            Err(Unsettable::Malformed) => {
                let message = format!("--env {name:?} cannot be set");
                return Err(Failure::new(ErrorCode::EnvInvalid, message)
                    .hint("names have letters, digits and _, and values no NUL"));
            }
            Err(Unsettable::Own) => {
                let message = format!("--env {name} is errand's own");
                return Err(Failure::new(ErrorCode::EnvInvalid, message)
                    .hint("choose a name that does not begin with ERRAND_"));
            }
        }
    }
    Ok(env)
}

/// Returns `KEY=VALUE` for a bare `KEY`, with the value that this process has.
fn with_own_value(context: &Context, text: &str) -> Result<String, Failure> {
    if text.is_empty() || text.contains('=') {
        return Ok(text.to_owned());
    }
    let own = context.environment.get(OsStr::new(text)).and_then(|value| value.to_str());
    own.map(|value| format!("{text}={value}")).ok_or_else(|| {
        Failure::new(ErrorCode::EnvInvalid, format!("--env {text} has no value, here neither"))
            .hint(format!("write --env {text}=VALUE, or set {text} in this shell"))
    })
}

/// Parses a duration longer than zero.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration = errand_model::parse_duration(text)
        .map_err(|error| format!("{error}: {}", errand_model::MalformedDuration::HINT))?;
    if duration.is_zero() { Err("a limit is longer than nothing".to_owned()) } else { Ok(duration) }
}

/// Reads a payload: the text itself, `@file`, or `-` for stdin.
pub(crate) fn payload(text: &str) -> Result<Vec<u8>, Failure> {
    let (mut from, name): (Box<dyn std::io::Read>, &str) = match text.strip_prefix('@') {
        Some(path) => {
            let file = File::open(path).map_err(|error| {
                Failure::new(
                    ErrorCode::PayloadUnreadable,
                    format!("the file {path} cannot be read"),
                )
                .because(&error)
                .hint("a text that begins with @ names a file; write @@ for an @ itself")
            });
            match file {
                Ok(file) => (Box::new(file), path),
                Err(failure) if text.starts_with("@@") => {
                    drop(failure);
                    return Ok(text.as_bytes()[1..].to_vec());
                }
                Err(failure) => return Err(failure),
            }
        }
        None if text == "-" => (Box::new(std::io::stdin().lock()), "stdin"),
        None => return Ok(text.as_bytes().to_vec()),
    };
    let mut bytes = Vec::new();
    from.by_ref().take(PAYLOAD_LIMIT_BYTES + 1).read_to_end(&mut bytes).map_err(|error| {
        Failure::new(
            ErrorCode::PayloadUnreadable,
            format!("the payload from {name} cannot be read"),
        )
        .because(&error)
    })?;
    if bytes.len() as u64 > PAYLOAD_LIMIT_BYTES {
        return Err(Failure::new(
            ErrorCode::PayloadTooLarge,
            format!("the payload from {name} has more than {PAYLOAD_LIMIT_BYTES} bytes"),
        )
        .hint("give the agent the path of a large file instead of its content"));
    }
    Ok(bytes)
}

/// Run that was asked for, with its agent not packed yet.
pub(crate) struct RunDraft {
    pub(crate) source: Source,
    pub(crate) kind: RunKind,
    pub(crate) input: Option<Vec<u8>>,
    pub(crate) options: RunOptions,
    pub(crate) service: Option<ServiceSpec>,
}

/// Draft that was checked: its agent may be packed.
pub(crate) struct CheckedRunDraft {
    draft: RunDraft,
    checked: DraftCheck,
}

impl RunDraft {
    /// Checks everything that can be checked before anything is created.
    pub(crate) fn check(self, context: &Context) -> Result<CheckedRunDraft, Failure> {
        let draft = Draft {
            agent: self.source.agent(),
            files: &self.source.plan.source().folder,
            kind: self.kind,
            input: self.input.as_deref(),
            env: &self.options.env,
        };
        let around = context.surroundings();
        // Those that it names by path are no parcels yet.
        for member in self.source.plan.members() {
            let files = &member.source().folder;
            let draft = Draft { agent: member.agent(), files, kind: RunKind::Heartbeat, ..draft };
            submission::check(&around, &draft)
                .map_err(|error| MemberError::new(&files.display().to_string(), error))?;
        }
        let checked = submission::check(&around, &draft)?;
        Ok(CheckedRunDraft { draft: self, checked })
    }
}

impl CheckedRunDraft {
    /// Options of the run.
    pub(crate) const fn options(&self) -> &RunOptions {
        &self.draft.options
    }

    /// Checks that the skills and configs of the agent exist; creates nothing.
    pub(crate) async fn check_names(&self, context: &Context) -> Result<(), Failure> {
        let (plan, brief) = (&self.draft.source.plan, &self.draft.options.brief);
        Box::pin(named_elsewhere::check_plan(context, plan)).await?;
        Box::pin(named_elsewhere::check_added(context, plan, brief)).await?;
        self.check_target(context).await
    }

    /// Checks that the place of the agent has what the agent needs, such as its image.
    async fn check_target(&self, context: &Context) -> Result<(), Failure> {
        let agent = self.draft.source.agent();
        if agent.target == TargetKind::default() {
            return Ok(());
        }
        let surroundings = context.surroundings();
        let Some(target) = surroundings.targets.get(agent.target_name()) else { return Ok(()) };
        match target.check(&agent.target).await {
            Ok(()) => Ok(()),
            Err(TargetStartError::Refused { code, message }) => Err(Failure::new(code, message)),
            Err(error) => Err(Failure::internal("the agent's target cannot be used", &error)),
        }
    }

    /// Packs the agent, and equips it with its tier and services.
    pub(crate) async fn pack(self, engine: &Engine) -> Result<CheckedSubmission, Failure> {
        let RunDraft { source, kind, input, options, service } = self.draft;
        let parcel = source.plan.publish(&engine.registry().parcels())?;
        let trigger = Trigger { kind: TriggerKind::Manual, source: None, payload: None };
        let submission = Submission::new(parcel, source.shown, kind, trigger, options);
        let submission = Submission { input, service, ..submission };
        let submission = CheckedSubmission::of_draft(submission, self.checked);
        Ok(dependencies::equipped(engine, submission).await?)
    }
}

/// Parses a schedule.
pub(crate) fn schedule(expr: &str) -> Result<errand_model::event::ScheduleSpec, Failure> {
    service::schedule_spec(expr).map_err(|error| {
        Failure::new(ErrorCode::CronInvalid, format!("--schedule {expr:?} is refused"))
            .because(&error)
            .hint("write `minute hour day month weekday`, with the second in front if you like, @hourly, or @every 30s")
    })
}

/// Parses a callback URL; the server that delivers reports also checks its address.
pub(crate) fn callback_url(text: &str) -> Result<String, String> {
    CallbackUrl::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Parses a limit, named as in the agent file.
pub(crate) fn limit(text: &str) -> Result<(LimitName, u64), String> {
    errand_api::budget::parse_limit(text).map_err(|error| error.hint)
}
