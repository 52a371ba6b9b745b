//! `errand up`: gateway and worker in one process.
//!
//! The worker is on the main thread, since what a process has to die with is bound to the thread that
//! started it; the gateway has a thread and a runtime of its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use errand_api::error_code::ErrorCode;
use errand_engine::Engine;
use errand_engine::supervise::Orders;
use errand_gateway::{Bound, Config, Gateway};
use tokio::sync::{oneshot, watch};

use super::worker;
use crate::context::Context;
use crate::failure::Failure;

/// Where the gateway listens unless said.
const LISTEN: &str = "127.0.0.1:7070";

/// Arguments of `errand up`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  errand up                                   on http://127.0.0.1:7070
  errand up --listen 127.0.0.1:0 --slots 8    on a port that is free, eight runs at a time
  errand up --agents agents                   with every agent below the folder `agents`")]
pub(crate) struct Args {
    /// Where to listen; port 0 picks one
    #[arg(long, value_name = "ADDRESS", default_value = LISTEN)]
    listen: SocketAddr,
    /// A folder whose agents are registered, at start and when they change; may be given again
    #[arg(long, value_name = "DIR")]
    agents: Vec<PathBuf>,
    #[command(flatten)]
    worker: worker::Flags,
    /// Another registry than the folder's: postgres://…
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

/// Serves until it is told to end.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let usher = worker::listen()?;
    let options = worker::options(&args.worker)?;
    let engine = context.engine_for_server(args.database.as_deref())?;
    let mut config = Config::new(args.listen);
    for folder in args.agents {
        if !folder.is_dir() {
            let message = format!("--agents {}: no such folder", folder.display());
            return Err(Failure::new(ErrorCode::Usage, message));
        }
        config.agents.push(context.cwd.join(folder));
    }
    let (end, ended) = oneshot::channel();
    let door = Door::open(&engine, config, usher.orders(), ended)?;
    context.printer.line(&format!("listening on http://{}", door.address))?;
    context.printer.note(
        "no key is asked for: whoever reaches this address on this machine may do everything",
    );
    let worked = worker::work(context, &engine, options, &usher).await;
    drop(end);
    door.close()?;
    worked?;
    Ok(0)
}

/// The thread of the gateway.
struct Door {
    address: SocketAddr,
    thread: std::thread::JoinHandle<std::io::Result<()>>,
}

impl Door {
    /// Binds the address, and serves until `ended` or the orders to end come.
    fn open(
        engine: &Engine,
        config: Config,
        orders: watch::Receiver<Orders>,
        ended: oneshot::Receiver<()>,
    ) -> Result<Self, Failure> {
        let bound = Bound::bind(Gateway::new(engine.clone(), config)).map_err(|error| {
            Failure::new(error.code(), error.to_string())
                .because(&error)
                .hint("choose another address with --listen; port 0 picks one that is free")
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
    mut orders: watch::Receiver<Orders>,
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
