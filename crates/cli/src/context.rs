//! What a command works with, read from the process once: the only reader of the environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use errand_agent::{SystemClock, os};
use errand_api::error_code::ErrorCode;
use errand_engine::{Engine, Inner, Surroundings};
use errand_model::RunId;
use errand_store::sqlite::{Options, Sqlite};
use errand_store::{Holder, Registry, SOCKET_PATH_LIMIT_BYTES, Store};

use crate::failure::Failure;
use crate::printer::Printer;

/// What follows the runtime folder in the path of a run's socket: `/errand/<id>.<attempt>.sock`.
const RUNTIME_NAMES_BYTES: usize = 8 + 20 + 11 + 5;
/// Runs that a shortened id may fit before the message stops naming them.
const NAMED_MATCHES: u32 = 6;

/// The process that a command runs in.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) printer: Printer,
    pub(crate) cwd: PathBuf,
    pub(crate) environment: BTreeMap<OsString, OsString>,
    root: Option<PathBuf>,
    program: PathBuf,
    identity: Option<PathBuf>,
    runtime_dir: Option<PathBuf>,
}

impl Context {
    pub(crate) fn from_process(root: Option<PathBuf>, printer: Printer) -> Result<Self, Failure> {
        let cwd = std::env::current_dir()
            .map_err(|error| Failure::io("find the folder", Path::new("."), &error))?;
        let program = std::env::current_exe()
            .map_err(|error| Failure::internal("cannot find this program", &error))?;
        let environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let root = root
            .or_else(|| environment.get(OsStr::new("ERRAND_ROOT")).map(PathBuf::from))
            .filter(|root| !root.as_os_str().is_empty())
            .map(|root| cwd.join(root));
        let (identity, runtime_dir) = (None, None);
        Ok(Self { printer, cwd, environment, root, program, identity, runtime_dir })
    }

    /// The same for a helper, which was told what its launcher knows.
    pub(crate) fn of_helper(&self, root: PathBuf, identity: PathBuf, runtime_dir: PathBuf) -> Self {
        Self {
            printer: self.printer.clone(),
            cwd: self.cwd.clone(),
            environment: self.environment.clone(),
            root: Some(root),
            program: self.program.clone(),
            identity: Some(identity),
            runtime_dir: Some(runtime_dir),
        }
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        let value = self.environment.get(OsStr::new(name)).map(OsString::as_os_str);
        value.filter(|value| !value.is_empty())
    }

    /// The registry that is there already.
    pub(crate) fn registry(&self) -> Option<Registry> {
        match &self.root {
            Some(root) => root.is_dir().then(|| Registry::at(root.clone())),
            None => Registry::find(&self.cwd),
        }
    }

    /// The registry that is there, or the place where one belongs.
    pub(crate) fn registry_or_place(&self) -> Registry {
        self.registry().unwrap_or_else(|| match &self.root {
            Some(root) => Registry::at(root.clone()),
            None => Registry::place_for(&self.cwd),
        })
    }

    pub(crate) fn surroundings(&self) -> Surroundings {
        Surroundings {
            registry: self.registry_or_place(),
            environment: self.environment.clone(),
            program: self.program.clone(),
            identity: self.identity(),
            runtime_dir: self.runtime_dir(),
        }
    }

    /// Where the user's secrets identity is.
    pub(crate) fn identity(&self) -> PathBuf {
        self.identity.clone().unwrap_or_else(|| self.config_dir().join("identity.txt"))
    }

    fn config_dir(&self) -> PathBuf {
        let home = || PathBuf::from(self.variable("HOME").unwrap_or(OsStr::new("/")));
        let base =
            self.variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
        base.unwrap_or_else(|| home().join(".config")).join("errand")
    }

    fn runtime_dir(&self) -> PathBuf {
        self.runtime_dir.clone().unwrap_or_else(|| {
            let base = self.variable("XDG_RUNTIME_DIR").map(PathBuf::from);
            let user = rustix::process::getuid().as_raw();
            // With room for a run's socket in it.
            let fits = |dir: &PathBuf| {
                dir.as_os_str().len() + RUNTIME_NAMES_BYTES <= SOCKET_PATH_LIMIT_BYTES
            };
            base.filter(|dir| dir.is_dir() && fits(dir)).map_or_else(
                || PathBuf::from(format!("/tmp/errand-{user}")),
                |dir| dir.join("errand"),
            )
        })
    }

    /// The engine on the registry that is there.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        let Some(registry) = self.registry() else {
            let place = self.registry_or_place();
            return Err(errand_store::Error::Missing { path: place.root().to_owned() }.into());
        };
        let store = Sqlite::open(&registry, Options::EXISTING)?;
        self.engine_on(Arc::new(store))
    }

    /// The engine on the registry that is there, or on a new one.
    pub(crate) fn engine_or_create(&self) -> Result<Engine, Failure> {
        let registry = self.registry_or_place();
        let store = Sqlite::open(&registry, Options::CREATE)?;
        self.engine_on(Arc::new(store))
    }

    /// The engine for a server: on the registry of that address, or on the folder's.
    pub(crate) fn engine_for_server(&self, database: Option<&str>) -> Result<Engine, Failure> {
        let variable = || self.variable("ERRAND_DATABASE").and_then(OsStr::to_str);
        match database.or_else(variable) {
            // TODO(pg): the PostgreSQL store.
            Some(_) => Err(Failure::new(ErrorCode::Usage, "--database is not supported yet")),
            None => self.engine_or_create(),
        }
    }

    fn engine_on(&self, store: Arc<dyn Store>) -> Result<Engine, Failure> {
        let process = os::own_identity()
            .map_err(|error| Failure::internal("cannot tell which process this is", &error))?;
        let holder = Holder { host: os::host_name(), process, worker: None };
        let clock = Arc::new(SystemClock);
        Ok(Engine::new(Inner { surroundings: self.surroundings(), store, clock, holder }))
    }

    /// The run that `text` means: a whole id, any unique part of one, or a name.
    ///
    /// Of several runs of that name it is the one that lives, or the newest.
    pub(crate) async fn resolve(&self, engine: &Engine, text: &str) -> Result<RunId, Failure> {
        let found = engine.store().find(text, NAMED_MATCHES).await?;
        if found.len() > 1
            && let Some(run_id) = one_of_name(engine, &found, text).await?
        {
            let note = format!("several runs have the name {text:?}; {run_id} is meant");
            self.printer.note(&note);
            return Ok(run_id);
        }
        Self::only(found, text)
    }

    /// The one run that `text` can mean: for what cannot be undone.
    pub(crate) async fn resolve_strictly(
        &self,
        engine: &Engine,
        text: &str,
    ) -> Result<RunId, Failure> {
        Self::only(engine.store().find(text, NAMED_MATCHES).await?, text)
    }

    fn only(mut found: Vec<RunId>, text: &str) -> Result<RunId, Failure> {
        if found.len() > 1 {
            let ids: Vec<_> = found.iter().map(|id| format!("  {id}")).collect();
            let message = format!("{text:?} fits several runs:\n{}", ids.join("\n"));
            return Err(Failure::new(ErrorCode::RunAmbiguous, message)
                .hint("use more of the id: any part that is in only one of them"));
        }
        found.pop().ok_or_else(|| {
            Failure::new(ErrorCode::RunNotFound, format!("no run has the id or name {text:?}"))
                .hint("`errand ps -a` lists all runs")
        })
    }
}

/// Of runs that all have the name `text`, newest first: the one that lives, or the newest.
async fn one_of_name(
    engine: &Engine,
    found: &[RunId],
    text: &str,
) -> Result<Option<RunId>, Failure> {
    let mut live = Vec::new();
    for run_id in found {
        let Some(stored) = engine.store().load(run_id).await? else { return Ok(None) };
        if stored.run.spec.name.as_deref() != Some(text) {
            return Ok(None);
        }
        if !stored.run.status.is_terminal() {
            live.push(run_id.clone());
        }
    }
    Ok(if live.len() > 1 { None } else { live.pop().or_else(|| found.first().cloned()) })
}
