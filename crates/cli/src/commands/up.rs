//! `errand up`: gateway and worker in one process.
//!
//! The worker runs on the main thread, since the death signal of its processes is bound to the
//! thread that started them; the gateway has a thread and a runtime of its own.

use std::net::SocketAddr;

use errand_api::agent_file::MalformedAddress;
use errand_api::audit::Action;
use errand_api::error_code::ErrorCode;
use errand_engine::outbox::{AddressRule, Addresses, MalformedAddressRule};
use errand_engine::supervise::ControlState;
use errand_engine::{Engine, audit};
use errand_gateway::{Bound, Config, Gateway, Lock, ServerStartError, TaskIntake};
use tokio::sync::{oneshot, watch};

use super::bus::{BusPlan, BusThread};
use super::worker;
use crate::config::{Configuration, ServerFlags};
use crate::context::Context;
use crate::failure::Failure;
use crate::log;
use crate::user::actor;

/// Note on a server without API keys.
const OPEN: &str = "warning: this server is open: there is no API key, so whoever is at this machine \
    may do everything\nhint: `errand keys create --name me --scope \
    runs:read,runs:write,approvals:decide,admin` makes one, and locks the door";
/// Hint for a server without API keys that other machines reach.
const MAKE_A_KEY: &str = "make a key first: `errand keys create --name me --scope \
    runs:read,runs:write,approvals:decide,admin` (and --database URL, where the server has one); or \
    listen on 127.0.0.1";

#[derive(Debug, clap::Args)]
#[command(after_help = concat!("\
Examples:
  errand up                                   on http://127.0.0.1:7070
  errand up --listen 127.0.0.1:0 --slots 8    on a port that is free, eight runs at a time
  errand up --agents agents                   with every agent below the folder `agents`", crate::args::target_options!()))]
pub(crate) struct Args {
    #[command(flatten)]
    flags: ServerFlags,
}

/// Server that a command starts.
#[derive(Debug)]
pub(super) enum ServerKind {
    /// Gateway and worker.
    Gateway,
    /// Gateway and worker, with the routes of tasks.
    Dispatcher {
        /// Bus that it takes tasks from, too.
        bus: Option<BusPlan>,
    },
}

/// Serves until it is asked to end.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    serve_as(ServerKind::Gateway, context, &args.flags).await
}

/// Serves as a server of that kind until it is asked to end.
pub(super) async fn serve_as(
    kind: ServerKind,
    context: &Context,
    flags: &ServerFlags,
) -> Result<u8, Failure> {
    let signals = worker::listen()?;
    let configuration = Configuration::load(context, flags)?;
    let settings = configuration.settings()?;
    log::begin(&settings.log);
    let options = worker::options(&settings)?;
    let mut config = Config::of(&settings).map_err(|error| {
        let hint = MalformedAddress::HINT;
        Failure::new(ErrorCode::ListenAddressInvalid, error.to_string()).hint(hint)
    })?;
    let bus = match kind {
        ServerKind::Gateway => None,
        ServerKind::Dispatcher { bus } => {
            config.dispatches = true;
            bus
        }
    };
    config.allow_callbacks = allowed(&settings.callbacks_allow)?;
    for folder in &config.agents {
        if !folder.is_dir() {
            let message = format!("agents: there is no folder {}", folder.display());
            return Err(Failure::new(ErrorCode::ConfigInvalid, message));
        }
    }
    let engine = context.engine_for_server(&settings)?;
    let lock = Lock::of(&engine).await?;
    let is_locked = lock.is_locked();
    // As for callbacks: a server without keys on loopback is one for development.
    let loopback = !is_locked && config.listen.ip().is_loopback();
    let rules = config.allow_callbacks.clone();
    let engine = engine.checking_health_at(Addresses { rules, loopback });
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let (end, ended) = oneshot::channel();
    let gateway = Gateway::new(engine.clone(), config, lock);
    let bus = match bus {
        Some(plan) => Some(plan.ready(context, &engine, is_locked).await?),
        None => None,
    };
    let intake = bus.as_ref().map(|_| TaskIntake::new(&gateway));
    let door = Door::open(gateway, signals.control(), ended)?;
    let bus = match (bus, intake) {
        (Some(consumer), Some(intake)) => Some(BusThread::start(consumer, intake)?),
        (_, _) => None,
    };
    began(context, &engine, &configuration).await?;
    context.printer.line(&format!("listening on {scheme}://{}", door.address))?;
    if !is_locked {
        context.printer.note(OPEN);
    }
    let _metrics = worker::metrics(context, &engine, &settings)?;
    let worked = worker::work(context, &engine, options, &signals).await;
    if let Some(bus) = bus {
        bus.end()?;
    }
    drop(end);
    door.close()?;
    worked?;
    Ok(0)
}

/// Parses the rules for addresses that reports may go to beyond public ones.
fn allowed(rules: &[String]) -> Result<Vec<AddressRule>, Failure> {
    let parse = |rule: &String| {
        rule.parse().map_err(|error: MalformedAddressRule| {
            Failure::new(ErrorCode::ConfigInvalid, format!("callbacks.allow: {error}"))
        })
    };
    rules.iter().map(parse).collect()
}

/// Records the start of the server, with its configuration, in the audit log.
async fn began(
    context: &Context,
    engine: &Engine,
    configuration: &Configuration,
) -> Result<(), Failure> {
    let deed = audit::AuditedAction {
        namespace: None,
        action: Action::ServerStarted,
        object: &engine.holder().host,
        by: &actor(context),
        detail: configuration.to_json(),
    };
    Ok(audit::record(engine, deed).await?)
}

/// The thread of the gateway.
struct Door {
    address: SocketAddr,
    thread: std::thread::JoinHandle<std::io::Result<()>>,
}

impl Door {
    /// Binds the address, and serves until `ended` resolves or the process is asked to end.
    fn open(
        gateway: Gateway,
        orders: watch::Receiver<ControlState>,
        ended: oneshot::Receiver<()>,
    ) -> Result<Self, Failure> {
        let bound = Bound::bind(gateway).map_err(|error| {
            let hint = match &error {
                ServerStartError::Bind(_) => {
                    "choose another address with --listen; port 0 picks one that is free"
                }
                ServerStartError::Open(_) => MAKE_A_KEY,
                ServerStartError::Traces(_) => {
                    "`errand config show` tells where `otlp.endpoint` is from"
                }
                ServerStartError::Tls(_) => "`errand config show` tells which files are meant",
            };
            Failure::new(error.code(), error.to_string()).because(&error).hint(hint)
        })?;
        let address = bound.address();
        let thread = std::thread::Builder::new()
            .name("gateway".to_owned())
            .spawn(move || serve(bound, orders, ended))
            .map_err(|error| Failure::internal("cannot start the gateway's thread", &error))?;
        Ok(Self { address, thread })
    }

    fn close(self) -> Result<(), Failure> {
        let failed = |error: &std::io::Error| Failure::internal("the gateway failed", error);
        match self.thread.join() {
            Ok(served) => served.map_err(|error| failed(&error)),
            Err(_) => Err(Failure::new(ErrorCode::Internal, "the gateway's thread panicked")),
        }
    }
}

fn serve(
    bound: Bound,
    mut orders: watch::Receiver<ControlState>,
    ended: oneshot::Receiver<()>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(bound.serve(async move {
        let told = orders.wait_for(|orders| orders.is_drained() || orders.is_interrupted());
        tokio::select! {
            _ = told => {}
            _ = ended => {}
        }
    }))
}
