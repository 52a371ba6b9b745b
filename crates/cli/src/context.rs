//! Context of a command, read once from the process: this is the only reader of the environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use errand_agent::secret::Vault;
use errand_api::error_code::ErrorCode;
use errand_container::{ContainerSettings, ContainerTarget, CredentialFiles, EngineAddress};
use errand_dispatch::{DispatchSettings, DispatcherTarget};
use errand_doors::{DoorSettings, ModelDoors, ProxySettings};
use errand_engine::EngineContext;
use errand_kubernetes::{ClusterAddress, KubernetesSettings, KubernetesTarget};
use errand_store::{ForeignFile, Registry, SOCKET_PATH_LIMIT_BYTES};

use crate::contexts::Contexts;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::remote::{Remote, Target};
use crate::trusted::{self, TrustedFolders};

/// Length of the rest of a socket's path below the runtime folder: `/errand/<id>.<attempt>.sock`.
const RUNTIME_NAMES_BYTES: usize = 8 + 20 + 11 + 5;

/// Variable with the address of the container engine.
const ENGINE: &str = "ERRAND_ENGINE";

/// Variable with the context of the kubeconfig.
const KUBE_CONTEXT: &str = "ERRAND_KUBE_CONTEXT";
/// Variable with the address at which Pods reach this machine.
const AGENT_API: &str = "ERRAND_AGENT_API";
/// Variable with the image that has errand's programs for Pods.
const SHIM_IMAGE: &str = "ERRAND_SHIM_IMAGE";

/// Global options about the places of agents.
#[derive(Debug, Default)]
pub(crate) struct PlaceFlags {
    pub(crate) engine: Option<OsString>,
    pub(crate) kube_context: Option<OsString>,
    pub(crate) agent_api: Option<OsString>,
    pub(crate) shim_image: Option<OsString>,
}

/// Process that a command runs in: folders, environment and global options.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) printer: Printer,
    pub(crate) cwd: PathBuf,
    pub(crate) environment: BTreeMap<OsString, OsString>,
    root: Option<PathBuf>,
    /// True if the root is from `--root`, not from the environment.
    is_root_typed: bool,
    /// Value of `--server`.
    server: Option<String>,
    program: PathBuf,
    identity: Option<PathBuf>,
    runtime_dir: Option<PathBuf>,
    /// A file of the registry that another user could have written; searched once.
    foreign: OnceLock<Option<ForeignFile>>,
    /// Targets of this process: what checks a run and what starts its agent share connections.
    targets: OnceLock<errand_agent::Targets>,
}

impl Context {
    pub(crate) fn from_process(
        root: Option<PathBuf>,
        server: Option<String>,
        places: PlaceFlags,
        printer: Printer,
    ) -> Result<Self, Failure> {
        let cwd = std::env::current_dir()
            .map_err(|error| Failure::io("find the folder", Path::new("."), &error))?;
        let program = std::env::current_exe()
            .map_err(|error| Failure::internal("cannot find this program", &error))?;
        if let Some(engine) = places.engine.as_deref().and_then(OsStr::to_str)
            && !engine.strip_prefix("unix://").unwrap_or(engine).starts_with('/')
        {
            let message = format!("--engine {engine:?} is no socket of this machine");
            let hint = "write unix:///path, such as unix:///run/podman/podman.sock";
            return Err(Failure::new(ErrorCode::Usage, message).hint(hint));
        }
        let mut environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        // Helpers get it as a variable.
        let PlaceFlags { engine, kube_context, agent_api, shim_image } = places;
        let named = [
            (ENGINE, engine),
            (KUBE_CONTEXT, kube_context),
            (AGENT_API, agent_api),
            (SHIM_IMAGE, shim_image),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.into(), value?)));
        environment.extend(named);
        let is_root_typed = root.is_some();
        let root = root
            .or_else(|| environment.get(OsStr::new("ERRAND_ROOT")).map(PathBuf::from))
            .filter(|root| !root.as_os_str().is_empty())
            .map(|root| cwd.join(root));
        let (identity, runtime_dir) = (None, None);
        Ok(Self {
            printer,
            cwd,
            environment,
            root,
            is_root_typed,
            server,
            program,
            identity,
            runtime_dir,
            foreign: OnceLock::new(),
            targets: OnceLock::new(),
        })
    }

    /// Returns the context of a helper process, with the values that its launcher passes.
    pub(crate) fn of_helper(&self, root: PathBuf, identity: PathBuf, runtime_dir: PathBuf) -> Self {
        Self {
            printer: self.printer.clone(),
            cwd: self.cwd.clone(),
            environment: self.environment.clone(),
            root: Some(root),
            is_root_typed: true,
            server: None,
            program: self.program.clone(),
            identity: Some(identity),
            runtime_dir: Some(runtime_dir),
            // The launcher has checked the owner.
            foreign: OnceLock::from(None),
            targets: OnceLock::new(),
        }
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        let value = self.environment.get(OsStr::new(name)).map(OsString::as_os_str);
        value.filter(|value| !value.is_empty())
    }

    /// Returns the existing registry.
    pub(crate) fn registry(&self) -> Option<Registry> {
        match &self.root {
            Some(root) => root.is_dir().then(|| Registry::at(root.clone())),
            None => Registry::find(&self.cwd),
        }
    }

    /// Returns the existing registry, or the one that would be created.
    pub(crate) fn registry_or_place(&self) -> Registry {
        self.registry().unwrap_or_else(|| match &self.root {
            Some(root) => Registry::at(root.clone()),
            None => Registry::place_for(&self.cwd),
        })
    }

    pub(crate) fn surroundings(&self) -> EngineContext {
        let registry = self.registry_or_place();
        let targets = self.targets.get_or_init(|| {
            let containers = ContainerTarget::new(self.containers(&registry));
            let dispatchers = DispatcherTarget::new(DispatchSettings {
                folder: registry.root().join("dispatched"),
                vault: Vault::at(registry.secrets(), self.identity()),
                environment: self.environment.clone(),
            });
            let pods = KubernetesTarget::new(self.kubernetes(&registry));
            errand_agent::Targets::default()
                .with(Arc::new(containers))
                .with(Arc::new(dispatchers))
                .with(Arc::new(pods))
        });
        EngineContext {
            targets: targets.clone(),
            registry,
            environment: self.environment.clone(),
            program: self.program.clone(),
            identity: self.identity(),
            runtime_dir: self.runtime_dir(),
            harnesses: errand_agent::Harnesses::default(),
            model_gateway: Some(Arc::new(ModelDoors::new(self.doors()))),
        }
    }

    /// Returns the settings of doors to model providers.
    fn doors(&self) -> DoorSettings {
        let text = |names: [&str; 2]| {
            let found = names.into_iter().find_map(|name| self.variable(name));
            found.and_then(OsStr::to_str).map(str::to_owned)
        };
        DoorSettings {
            proxies: ProxySettings {
                // `HTTP_PROXY` may be a header of a request to a CGI program.
                http: text(["http_proxy", "http_proxy"]),
                https: text(["https_proxy", "HTTPS_PROXY"]),
                none: text(["no_proxy", "NO_PROXY"]),
            },
        }
    }

    /// Returns the settings of the target `container`, which connects to no engine by itself.
    fn containers(&self, registry: &Registry) -> ContainerSettings {
        ContainerSettings {
            engine: self.container_engine(),
            folder: registry.root().join("containers"),
            registry: registry.root().to_owned(),
            program: self.program.clone(),
            credentials: self.registry_credentials(),
        }
    }

    /// Returns the addresses of the container engine.
    pub(crate) fn container_engine(&self) -> EngineAddress {
        let text = |name: &str| self.variable(name).map(|it| it.to_string_lossy().into_owned());
        EngineAddress {
            named: text(ENGINE),
            docker_host: text("DOCKER_HOST"),
            user_sockets: self.variable("XDG_RUNTIME_DIR").map(PathBuf::from),
        }
    }

    /// Returns the files in which Docker and Podman keep credentials of registries.
    fn registry_credentials(&self) -> CredentialFiles {
        let path = |name: &str| self.variable(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        let named = path("REGISTRY_AUTH_FILE");
        let home = path("HOME");
        let of_docker = path("DOCKER_CONFIG").or_else(|| Some(home.as_ref()?.join(".docker")));
        let of_user = path("XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config")));
        let usual = [
            path("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
            of_user.map(|folder| folder.join("containers/auth.json")),
            of_docker.map(|folder| folder.join("config.json")),
        ];
        let paths = match named {
            Some(named) => vec![named],
            None => usual.into_iter().flatten().collect(),
        };
        CredentialFiles { paths, search_path: self.variable("PATH").map(OsStr::to_owned) }
    }

    /// Returns the settings of the target `kubernetes`, which connects to no cluster by itself.
    fn kubernetes(&self, registry: &Registry) -> KubernetesSettings {
        let text = |name: &str| self.variable(name).map(|it| it.to_string_lossy().into_owned());
        KubernetesSettings {
            cluster: self.cluster(),
            agent_api: text(AGENT_API),
            shim_image: text(SHIM_IMAGE),
            folder: registry.root().join("pods"),
            registry: registry.root().to_owned(),
            machine: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        }
    }

    /// Returns the place of the Kubernetes cluster.
    pub(crate) fn cluster(&self) -> ClusterAddress {
        let of_user = || self.variable("HOME").map(|home| Path::new(home).join(".kube/config"));
        let kubeconfig = match self.variable("KUBECONFIG") {
            Some(named) => std::env::split_paths(named).collect(),
            None => of_user().into_iter().collect(),
        };
        let context = self.variable(KUBE_CONTEXT).map(|it| it.to_string_lossy().into_owned());
        ClusterAddress { kubeconfig, context }
    }

    /// Returns the path of this program.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Returns the path of the user's identity for secrets.
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
            // A run's socket must fit into the folder.
            let fits = |dir: &PathBuf| {
                dir.as_os_str().len() + RUNTIME_NAMES_BYTES <= SOCKET_PATH_LIMIT_BYTES
            };
            base.filter(|dir| dir.is_dir() && fits(dir)).map_or_else(
                || PathBuf::from(format!("/tmp/errand-{user}")),
                |dir| dir.join("errand"),
            )
        })
    }

    /// Returns the path of the file with the user's contexts.
    pub(crate) fn contexts_file(&self) -> PathBuf {
        self.config_dir().join("contexts.json")
    }

    /// Returns the value of `--server`.
    pub(crate) fn typed_server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Returns the server that commands go to; `None` for the registry of this machine.
    ///
    /// `--root` and `--server` win over the environment, and that over the context in use.
    pub(crate) fn server(&self) -> Result<Option<Target>, Failure> {
        if self.is_root_typed {
            return Ok(None);
        }
        let said = self.server.as_deref().or_else(|| self.variable("ERRAND_SERVER")?.to_str());
        let contexts = || Contexts::read(&self.contexts_file());
        let key = self.variable("ERRAND_API_KEY").and_then(OsStr::to_str).map(str::to_owned);
        if let Some(said) = said {
            if said.contains("://") {
                return Target::new(said, key, None).map(Some);
            }
            return self.named(&contexts()?, said, key);
        }
        if self.root.is_some() {
            return Ok(None);
        }
        let contexts = contexts()?;
        self.named(&contexts, &contexts.used, key)
    }

    /// Returns the client of the server that commands go to.
    pub(crate) fn remote(&self) -> Result<Option<Remote>, Failure> {
        let Some(target) = self.server()? else { return Ok(None) };
        if let (Some(name), None) = (&target.context, &self.server) {
            // The context was not named in this command: tell which one is used.
            self.printer.note(&format!("context {name}: {}", target.url));
        }
        Remote::connect(target).map(Some)
    }

    #[expect(clippy::unused_self, reason = "contexts are those of the user of this process")]
    fn named(
        &self,
        contexts: &Contexts,
        name: &str,
        key: Option<String>,
    ) -> Result<Option<Target>, Failure> {
        let Some(server) = contexts.named(name)? else { return Ok(None) };
        let key = match key {
            Some(key) => Some(key),
            None => server.key()?,
        };
        Target::new(&server.server, key, Some(name.to_owned())).map(Some)
    }

    /// Refuses a registry that was found, not named, and that another user could have written. A
    /// named one is opened read-only, with a note.
    pub(crate) fn check_owner(&self) -> Result<(), Failure> {
        let Some(foreign) = self.foreign()? else { return Ok(()) };
        if self.root.is_none() {
            return Err(trusted::refusal(foreign, &self.registry_or_place()));
        }
        self.printer.note(&format!("note: {foreign}: this registry is only read"));
        Ok(())
    }

    /// Refuses every registry that another user could have written, also a named one, and one that
    /// would be created in another user's folder.
    pub(crate) fn check_own(&self) -> Result<(), Failure> {
        let registry = self.registry_or_place();
        let refuse = |foreign: &ForeignFile| Err(trusted::refusal(foreign, &registry));
        if let Some(foreign) = self.foreign()? {
            return refuse(foreign);
        }
        if self.root.is_some() || registry.root().exists() {
            return Ok(());
        }
        match registry.foreign_folder(&self.cwd) {
            Some(foreign) if !self.trusted_folders()?.contains(&registry) => refuse(&foreign),
            Some(_) | None => Ok(()),
        }
    }

    /// Returns a file or folder of the existing registry, or on the path to it, that another user
    /// could have written; `None` for a trusted registry.
    pub(crate) fn foreign(&self) -> Result<Option<&ForeignFile>, Failure> {
        if let Some(known) = self.foreign.get() {
            return Ok(known.as_ref());
        }
        let found = match self.registry() {
            Some(registry) => {
                let on_the_way = || match self.root {
                    Some(_) => None,
                    None => registry.foreign_folder(&self.cwd),
                };
                let foreign = registry.foreign_file().or_else(on_the_way);
                match foreign {
                    Some(_) if self.trusted_folders()?.contains(&registry) => None,
                    other => other,
                }
            }
            None => None,
        };
        Ok(self.foreign.get_or_init(|| found).as_ref())
    }

    fn trusted_folders(&self) -> Result<TrustedFolders, Failure> {
        let read = TrustedFolders::read(&self.trusted_file())?;
        Ok(read.and(self.variable(trusted::VARIABLE)))
    }

    /// Returns the path of the file with trusted registries of other users.
    pub(crate) fn trusted_file(&self) -> PathBuf {
        self.config_dir().join(trusted::FILE_NAME)
    }

    /// Refuses a named root that cannot be created: most likely a typing error.
    pub(crate) fn check_root(&self) -> Result<(), Failure> {
        let Some(root) = &self.root else { return Ok(()) };
        let problem = if root.exists() {
            "is no folder"
        } else if root
            .parent()
            .is_some_and(|parent| parent.as_os_str().is_empty() || parent.is_dir())
        {
            return Ok(());
        } else {
            "does not exist, nor the folder that it would be in"
        };
        let message = format!("the registry's folder {} {problem}", root.display());
        Err(Failure::new(ErrorCode::IoFailed, message).hint("look at --root, or at ERRAND_ROOT"))
    }
}
