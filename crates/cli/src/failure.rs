//! Failures of commands: message, causes, hints and exit code.

mod areas;
pub(crate) mod awaited_secrets;
mod files;

use std::error::Error;
use std::io::ErrorKind;

use errand_api::agent_file::Problems;
use errand_api::budget::{spoken_name, spoken_spent};
use errand_api::error_code::ErrorCode;
use errand_engine::ask::AskProblem;
use errand_engine::prices::PriceTableInvalid;
use errand_engine::{Error as EngineError, ProgramProblem, SchemaProblem, code};
use errand_model::replay::NotReplayable;
use errand_model::run::Rejection;
use errand_store::Error as StoreError;

use crate::moment::relative;
use crate::render::{visible, visible_lines};

/// Hint for an export that was changed.
const EXPORT_AGAIN: &str = "export the run again where it was run";

/// A failure of a command.
#[derive(Debug)]
pub(crate) struct Failure {
    code: ErrorCode,
    /// Code that an agent gave its failure, unknown to errand.
    agents_code: Option<String>,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
    exit_code: Option<u8>,
    is_broken_pipe: bool,
}

impl Failure {
    /// Returns a failure with a code and one line.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            agents_code: None,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
            exit_code: None,
            is_broken_pipe: false,
        }
    }

    /// Returns the failure of a run, with the code in its record.
    pub(crate) fn of_run(code: &str, message: &str) -> Self {
        let known = code.parse().ok();
        let agents_code = known.is_none().then(|| code.to_owned());
        // The agent's text is shown on one line.
        let failure = Self::new(known.unwrap_or(ErrorCode::ExitNonzero), visible(message));
        Self { agents_code, ..failure }
    }

    /// Returns an internal failure.
    pub(crate) fn internal(doing: &str, error: &dyn Error) -> Self {
        Self::new(ErrorCode::Internal, doing).because(error)
    }

    /// Returns the failure of a file operation.
    pub(crate) fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(ErrorCode::of_io(error), format!("cannot {doing} {}", path.display()))
            .because(error)
    }

    /// Returns the failure to write to stdout.
    pub(crate) fn stdout(error: &std::io::Error) -> Self {
        let is_broken_pipe = error.kind() == ErrorKind::BrokenPipe;
        let failure = Self::new(ErrorCode::of_io(error), "cannot write to stdout").because(error);
        Self { is_broken_pipe, ..failure }
    }

    /// Adds an error and its causes.
    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let text = error.to_string();
            if text != self.message && self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            cause = error.source();
        }
        self
    }

    /// Adds a hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Overrides the exit code of the error code.
    pub(crate) fn exit_with(mut self, exit_code: u8) -> Self {
        self.exit_code = Some(exit_code);
        self
    }

    pub(crate) const fn is_broken_pipe(&self) -> bool {
        self.is_broken_pipe
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code.unwrap_or_else(|| self.code.exit_code())
    }

    /// Returns the stable code.
    pub(crate) const fn code(&self) -> ErrorCode {
        self.code
    }

    /// Returns message and causes on one line.
    pub(crate) fn message(&self) -> String {
        let mut text = self.message.clone();
        for cause in &self.causes {
            text.push_str(": ");
            text.push_str(cause);
        }
        text
    }

    /// Returns the whole text for stderr, without the last newline.
    pub(crate) fn render(&self) -> String {
        let code = self.agents_code.as_deref().unwrap_or(self.code.as_str());
        let mut text = format!("error[{code}]: {}", self.message);
        for cause in &self.causes {
            text.push_str("\n  caused by: ");
            text.push_str(cause);
        }
        for hint in &self.hints {
            text.push_str("\nhint: ");
            text.push_str(hint);
        }
        // Parts of it may come from agents, files and servers.
        visible_lines(&text)
    }
}

/// Returns the failure for a command that the model refuses.
fn of_rejection(error: &EngineError, rejection: &Rejection) -> Failure {
    let (mut message, mut hint) = (rejection.to_string(), rejection_hint(rejection).to_owned());
    if let Rejection::BudgetSpent { run_id, limit, used, allowed } = rejection {
        let spent = spoken_spent(*limit, *used, *allowed);
        message = format!("{spent}: raise it with --raise {}=N", spoken_name(*limit));
        hint = format!("`errand inspect-run {run_id}` shows what run {run_id} used");
    }
    if let Rejection::Decided { at, .. } | Rejection::Expired { at, .. } = rejection {
        use errand_agent::Clock as _;
        message = format!("{message}, {}", relative(*at, errand_agent::SystemClock.now()));
    }
    let failure = Failure::new(error.code(), message);
    if hint.is_empty() { failure } else { failure.hint(hint) }
}

/// Returns what to do about a refused command, where the error itself does not say it.
const fn rejection_hint(rejection: &Rejection) -> &'static str {
    match rejection {
        Rejection::NoneAsked { .. } => {
            "it may still ask: `errand ps` shows what it does, `errand approvals ls` what is open"
        }
        Rejection::NotAsked { .. } => "`errand approvals ls` lists what is open",
        Rejection::Several { .. } => {
            "name one with --approval ID or --input ID, or the run that asked"
        }
        Rejection::Decided { .. } => "`errand approvals ls -a` shows the decision",
        Rejection::OtherDigest { .. } => {
            "look at what would be done now: `errand approvals ls --json` shows its digest"
        }
        Rejection::AnswerInvalid { .. } => "`errand approvals ls --json` shows the schema",
        Rejection::Terminal { .. } => "`errand ps -a` shows how it ended",
        Rejection::NotPaused { .. } => "`errand ps` shows what it waits for",
        Rejection::NotWoken { .. } => "`errand ps` shows services and how they stand",
        Rejection::NoSuchLimit { .. } | Rejection::NotRaised { .. } => {
            "`errand inspect-run` shows the limits in force under `budgets`"
        }
        Rejection::Expired { .. }
        | Rejection::NotNow { .. }
        | Rejection::Stale { .. }
        | Rejection::Fenced { .. }
        | Rejection::TooManyQuestions { .. }
        | Rejection::BudgetSpent { .. }
        | Rejection::NotAService { .. } => "",
    }
}

/// Returns the failure for an invalid price table.
fn price_table(problems: &Problems) -> Failure {
    let count = problems.problems.len() + problems.omitted;
    let noun = if count == 1 { "problem" } else { "problems" };
    let message =
        format!("{} has {count} {noun}\n\n{}", problems.source_name, problems.with_excerpts());
    Failure::new(ErrorCode::PriceTableInvalid, message)
        .hint("`errand explain price_table_invalid` shows what a table looks like")
}

impl From<errand_agent::parcel::Error> for Failure {
    fn from(error: errand_agent::parcel::Error) -> Self {
        if let errand_agent::parcel::Error::AgentFileInvalid { files } = &error {
            return Self::of_files(files);
        }
        let failure = Self::new(error.code(), error.to_string());
        let failure = match error.source() {
            Some(source) => failure.because(source),
            None => failure,
        };
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<errand_agent::secret::Error> for Failure {
    fn from(error: errand_agent::secret::Error) -> Self {
        let failure = Self::new(error.code(), error.to_string());
        let failure = match error.source() {
            Some(source) => failure.because(source),
            None => failure,
        };
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<errand_store::RegistryError> for Failure {
    fn from(error: errand_store::RegistryError) -> Self {
        Self::from(StoreError::from(error))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = store_hint(&error);
        let failure = Self::new(code::of_store(&error), error.to_string());
        let failure = match error.source() {
            Some(source) => failure.because(source),
            None => failure,
        };
        if hint.is_empty() { failure } else { failure.hint(hint) }
    }
}

fn store_hint(error: &StoreError) -> &'static str {
    match error {
        StoreError::NoRun { .. } => "`errand ps -a` lists all runs",
        StoreError::Fenced { .. }
        | StoreError::Conflict { .. }
        | StoreError::DocumentChanged { .. } => {
            "another process carries the run on; look again with `errand ps`"
        }
        StoreError::Sealed { .. } => "`errand ps -a` shows how it ended",
        StoreError::Live { .. } => "stop it first with `errand stop`, or use --force",
        StoreError::IdempotencyConflict { .. } => {
            "use another --idempotency-key for another request"
        }
        StoreError::OtherJournal { .. } => {
            "look at both: `errand verify` of the run here, and of the file"
        }
        StoreError::NoDeadLetter { .. } => "`errand dlq ls -a` lists all dead letters",
        StoreError::Settled { .. } => "`errand dlq redrive --again` does it once more all the same",
        StoreError::Revision { .. } => "read the session again",
        StoreError::SessionBusy { .. } => {
            "nothing was started; `--on-busy enqueue` waits, `interrupt` or `rollback` takes over"
        }
        StoreError::SessionInUse { .. } => {
            "wait for the run with `errand wait`, or end it with `errand stop`"
        }
        StoreError::Damaged { .. } => {
            "`errand registry check` tells more, `errand registry rebuild` mends"
        }
        StoreError::Newer { .. } => "use the newer errand, or another --root",
        StoreError::Corrupt { .. } => {
            "`errand registry rebuild` makes it anew from the files beside it: all runs, and keys, \
             hooks and schedules as far as the old database can be read"
        }
        StoreError::Missing { .. } => {
            "`errand run` creates one; `errand registry rebuild` makes one from the files of runs"
        }
        StoreError::Elsewhere { .. } => {
            "`errand --server URL` asks the server; `errand keys` and `errand audit` take \
             --database URL; --root DIR names another folder"
        }
        StoreError::Lost { .. } => {
            "`errand registry rebuild` makes it anew from the files of the runs; keys, hooks and \
             schedules were in the database alone"
        }
        StoreError::Beside(_) => "",
        StoreError::Full { .. } => "free some space, for instance with `errand prune`",
        StoreError::ReadOnly { .. } => "",
        StoreError::Busy { .. } => "try again; `errand ps` shows who is at work",
        StoreError::File { .. } => "",
        StoreError::Address { .. } => "it looks like postgres://user:password@host:5432/database",
        StoreError::OtherSchema { found, known } if found < known => {
            "`errand migrate --database <url>` brings it up to date; nothing is lost"
        }
        StoreError::OtherSchema { .. } => "use the errand that migrated it, or a newer one",
        StoreError::Unreachable { .. } => {
            "look whether the server runs and is reached from here, and try again"
        }
        StoreError::BlobPlace { fault, .. } => areas::blob_place_hint(*fault),
        // PostgreSQL's code is at the end of the message.
        StoreError::Postgres { reason, .. } if reason.ends_with("(3D000)") => {
            "create the database with `createdb`, or mend the name at the end of the URL"
        }
        StoreError::Postgres { reason, .. }
            if reason.ends_with("(28P01)") || reason.ends_with("(28000)") =>
        {
            "mend user and password in the URL, or allow them in the server's pg_hba.conf"
        }
        StoreError::Postgres { .. } => "the server's own log tells more",
        StoreError::Database { .. } | StoreError::WriterGone => "",
    }
}

impl From<errand_engine::export::FileError> for Failure {
    fn from(error: errand_engine::export::FileError) -> Self {
        use errand_engine::export::FileError;
        let hint = match &error {
            FileError::Io(_) | FileError::Engine(_) => "",
            FileError::Unopened { .. } | FileError::Foreign { .. } => {
                "`errand export <run> -o <file>` writes exports"
            }
            FileError::Damaged { .. } => EXPORT_AGAIN,
            FileError::Newer { .. } => "use the newer errand",
            FileError::Tampered { .. } => EXPORT_AGAIN,
            FileError::Live { .. } => {
                "a run that lives stays where it is; export it once it is over"
            }
            FileError::Stray { .. } => {
                "`errand registry rebuild` makes the registry anew from the files beside it"
            }
        };
        if let FileError::Engine(error) = error {
            return error.into();
        }
        let failure = Self::new(error.code(), error.to_string());
        let failure = match error.source() {
            Some(source) => failure.because(source),
            None => failure,
        };
        if hint.is_empty() { failure } else { failure.hint(hint) }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        if let EngineError::Store(error) = error {
            return error.into();
        }
        if let EngineError::Parcel(error) = error {
            return error.into();
        }
        if let EngineError::Secret(error) = error {
            return error.into();
        }
        if let EngineError::Ask(AskProblem::AwaitsSecrets { run_id, names }) = &error {
            return awaited_secrets::failure(run_id, names);
        }
        if let EngineError::Rejected(rejection) = &error {
            return of_rejection(&error, rejection);
        }
        if let EngineError::Prices(PriceTableInvalid(problems)) = error {
            return price_table(&problems);
        }
        if let EngineError::Catalog(problem) = &error {
            return files::of_catalog(problem);
        }
        if let EngineError::Dependency(problem) = &error {
            return Self::new(error.code(), problem.to_string()).hint(problem.hint());
        }
        let hint = engine_hint(&error);
        let failure = Self::new(error.code(), error.to_string());
        let failure = match error.source() {
            Some(source) => failure.because(source),
            None => failure,
        };
        if hint.is_empty() { failure } else { failure.hint(hint) }
    }
}

/// Returns the hint for an error of an agent that another one names.
fn member_hint(error: &EngineError) -> &'static str {
    if matches!(error, EngineError::Agents(_)) {
        return "register it with `errand push`, or name its folder by path";
    }
    if matches!(error, EngineError::Parcel(_)) {
        return "send it again with `errand push`, or build this agent again";
    }
    engine_hint(error)
}

/// Returns true if a program is in a virtual environment in the agent's folder.
fn is_in_venv(program: &str) -> bool {
    !program.starts_with('/') && program.contains("venv/bin/")
}

fn replay_hint(problem: &NotReplayable) -> &'static str {
    match problem {
        NotReplayable::Live { .. } => "wait for its end with `errand wait`",
        NotReplayable::Service { .. }
        | NotReplayable::Coordinator { .. }
        | NotReplayable::AnswersNotKept { .. }
        | NotReplayable::Stopped { .. } => "`errand replay` without --policy tells what it did",
        NotReplayable::Unknown(_) => "",
    }
}

fn program_hint(problem: &ProgramProblem) -> &'static str {
    match problem {
        ProgramProblem::NotFound { program } if is_in_venv(program) => {
            "a virtual environment is not packed: write `command: [uv, run, --script, agent.py]`, or \
             name its Python by an absolute path"
        }
        ProgramProblem::NotFound { .. } => {
            "put the program into the agent's folder, or install it where PATH finds it"
        }
        ProgramProblem::NotExecutable { .. } => "",
    }
}

fn engine_hint(error: &EngineError) -> &'static str {
    match error {
        EngineError::Schema(SchemaProblem::Input { .. }) => {
            "give a payload that fits `input_schema` with --job"
        }
        EngineError::Schema(SchemaProblem::Malformed { .. }) => "mend the schema in the agent file",
        EngineError::Unsupported(_) | EngineError::NotAdopted(_) => "",
        EngineError::Program(problem) => program_hint(problem),
        EngineError::SecretExposed(_) => {
            "what is recorded must not hold a secret: let the agent read it from its environment"
        }
        EngineError::NotRetryable(_) => {
            "`errand fork` does a run again from one of its steps on, `errand replay --policy live` all of it"
        }
        EngineError::Inherit(errand_model::inherit::NotInheritable::Step { .. }) => {
            "`errand replay` tells what the run did, step by step"
        }
        EngineError::NotReplayable(problem) => replay_hint(problem),
        EngineError::Inherit(errand_model::inherit::NotInheritable::Unknown(_)) => "",
        EngineError::ReplayEffects(_) => "add --allow-effects if that is what you want",
        EngineError::Member(member) => member_hint(&member.source),
        EngineError::NestedTooDeep(_) => "an agent that is deep in a coordinator leads back to it",
        EngineError::Inventory(_) => {
            "`errand export` takes inventories along, and `errand import` brings them back"
        }
        EngineError::Workspace(_)
        | EngineError::Listener(_)
        | EngineError::ModelDoor(_)
        | EngineError::Schedule(_) => "",
        EngineError::InUse(_) => {
            "a grace period of 10m or more frees what others cannot be about to name; `errand ps` \
             shows what lives"
        }
        EngineError::Live(_) => "stop it first with `errand stop`, or use --force",
        EngineError::ChildRemoved(_) => "--own exports the coordinator alone",
        EngineError::NotCoordinated(_) => "`errand trace` draws what a single agent did",
        EngineError::Ask(AskProblem::StillLive { .. }) => "`errand logs` shows what it does",
        EngineError::Ask(AskProblem::Elsewhere { .. }) => "do it on that machine",
        EngineError::BriefTooLarge(_) => "give the agent a long text as a file, or as input",
        EngineError::PolicyDenied(_) => "`errand get policy NAME -o yaml` shows the policy",
        EngineError::PolicyInvalid(invalid) if invalid.is_of_agent_file() => {
            "mend `policy` in the agent file; `errand validate` checks it"
        }
        EngineError::PolicyInvalid(_) => "mend the program of the policy, and apply it again",
        EngineError::BriefDamaged(_) => "`errand verify` shows what else of the run is damaged",
        EngineError::Payload(_)
        | EngineError::Io(_)
        | EngineError::Ending(_)
        | EngineError::Journal(_)
        | EngineError::Rejected(_)
        | EngineError::Blob(_)
        | EngineError::Step(_)
        | EngineError::Report(_)
        | EngineError::Fold(_)
        | EngineError::Helper(_)
        | EngineError::Ask(AskProblem::AwaitsSecrets { .. })
        | EngineError::Randomness(_)
        | EngineError::Store(_)
        | EngineError::Parcel(_)
        | EngineError::Prices(_)
        | EngineError::Agents(_)
        | EngineError::Definition(_)
        | EngineError::Catalog(_)
        | EngineError::Dependency(_)
        | EngineError::Hooks(_)
        | EngineError::Outbox(_)
        | EngineError::Task(_)
        | EngineError::Secret(_) => "",
    }
}
