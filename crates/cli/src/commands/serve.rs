//! `errand serve`: an agent as a service.

use std::time::Duration;

use errand_agent::secret::Vault;
use errand_api::agent_file::{Agent, Listen, MalformedAddress, parse_address, parse_method};
use errand_api::error_code::ErrorCode;
use errand_engine::service::{listener_spec, service_spec};
use errand_model::event::{ListenerSpec, RunKind};

use super::run::{detach, foreground};
use super::submit::{self, Checked, Common};
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `errand serve`.
#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "help texts are read in a terminal")]
#[command(after_help = "\
Examples:
  errand serve -d my-agent --schedule '0 9 * * mon-fri'     at nine on working days
  errand serve -d my-agent --schedule '@every 30s'          twice a minute
  errand serve -d my-agent --listen 127.0.0.1:8080 --listen-path /hook

Flags win over the agent file; schedules and methods of both are put together.")]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// A cron line that wakes the agent; may be given again
    #[arg(long = "schedule", value_name = "CRON")]
    schedules: Vec<String>,
    /// An address whose requests wake the agent; port 0 picks one; may be given again
    #[arg(long = "listen", value_name = "ADDRESS")]
    listen: Vec<String>,
    /// The only path that is answered
    #[arg(long, value_name = "PATH")]
    listen_path: Option<String>,
    /// A method that is answered; may be given again
    #[arg(long = "listen-method", value_name = "METHOD")]
    listen_methods: Vec<String>,
    /// What callers must know; better: name a secret in the agent file [env: ERRAND_LISTEN_SECRET]
    #[arg(long, value_name = "SECRET")]
    listen_shared_secret: Option<String>,
    /// The largest body that is read
    #[arg(long, value_name = "BYTES")]
    listen_max_body_bytes: Option<u64>,
    /// The largest request line and headers that are read
    #[arg(long, value_name = "BYTES")]
    listen_max_header_bytes: Option<u64>,
    /// Wake the agent every so often; without schedules and listeners: every 30000
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..))]
    interval_ms: Option<u64>,
}

/// Serves an agent.
pub(crate) async fn run(context: &Context, args: Args) -> Result<u8, Failure> {
    let (detached, json) = (args.common.detach, args.common.json);
    let checked = check(context, &args)?;
    let engine = context.engine_or_create()?;
    let submission = checked.pack(&engine)?;
    if detached {
        return detach(context, &engine, submission, json).await;
    }
    context.printer.note("serving in the foreground; Ctrl-C ends it, -d leaves it running");
    foreground(context, &engine, submission, json).await
}

fn check(context: &Context, args: &Args) -> Result<Checked, Failure> {
    let source = submit::read_agent(&args.common.path)?;
    let flags =
        args.schedules.iter().map(|expr| submit::schedule(expr)).collect::<Result<_, _>>()?;
    let listeners = listeners(context, args, source.agent())?;
    let interval = args.interval_ms.map(Duration::from_millis);
    let service = service_spec(source.agent(), flags, listeners, interval)
        .map_err(|error| Failure::new(ErrorCode::CronInvalid, error.to_string()))?;
    let wishes = submit::wishes(context, &args.common)?;
    let kind = RunKind::Service;
    Checked { source, kind, input: None, wishes, service: Some(service) }.check(context)
}

/// The listeners of flags and file: the flags' values win, methods are put together.
fn listeners(context: &Context, args: &Args, agent: &Agent) -> Result<Vec<ListenerSpec>, Failure> {
    let mut listen = agent.listen.clone().unwrap_or_default();
    if args.listen.is_empty() && agent.listen.is_none() {
        return no_listener(args);
    }
    if let Some(path) = &args.listen_path {
        if !path.starts_with('/') {
            return Err(Failure::new(
                ErrorCode::Usage,
                format!("--listen-path {path:?} has no leading /"),
            ));
        }
        listen.path = Some(path.clone());
    }
    for method in &args.listen_methods {
        let method = parse_method(&method.to_ascii_uppercase())
            .map_err(|error| Failure::new(ErrorCode::Usage, format!("--listen-method: {error}")))?;
        if !listen.methods.contains(&method) {
            listen.methods.push(method);
        }
    }
    listen.max_body_bytes = bound(
        "--listen-max-body-bytes",
        args.listen_max_body_bytes.unwrap_or(listen.max_body_bytes),
        Listen::LARGEST_MAX_BODY_BYTES,
    )?;
    listen.max_header_bytes = bound(
        "--listen-max-header-bytes",
        args.listen_max_header_bytes.unwrap_or(listen.max_header_bytes),
        Listen::LARGEST_MAX_HEADER_BYTES,
    )?;
    let secret = secret(context, args, &listen)?;
    let mut addresses = Vec::new();
    for text in &args.listen {
        addresses.push(parse_address(text).map_err(|error| {
            Failure::new(ErrorCode::ListenAddressInvalid, format!("--listen: {error}"))
                .hint(MalformedAddress::HINT)
        })?);
    }
    if addresses.is_empty() {
        addresses.push(listen.address);
    }
    addresses.dedup();
    let mut specs = Vec::new();
    for address in addresses {
        if !address.ip().is_loopback() && secret.is_none() {
            return Err(Failure::new(
                ErrorCode::ListenUnsafe,
                format!("{address} is reached by other machines, and no secret is asked for"),
            )
            .hint("name a secret in the agent file's `listen.secret`, or listen on 127.0.0.1"));
        }
        listen.address = address;
        specs.push(listener_spec(&listen, secret.as_deref()));
    }
    Ok(specs)
}

/// Flags about a listener without a listener are a mistake.
fn no_listener(args: &Args) -> Result<Vec<ListenerSpec>, Failure> {
    let says_more = args.listen_path.is_some()
        || !args.listen_methods.is_empty()
        || args.listen_shared_secret.is_some()
        || args.listen_max_body_bytes.is_some()
        || args.listen_max_header_bytes.is_some();
    if says_more {
        return Err(Failure::new(ErrorCode::Usage, "the --listen-… flags need --listen")
            .hint("--listen 127.0.0.1:0 lets the system pick a port"));
    }
    Ok(Vec::new())
}

fn bound(flag: &str, value: u64, largest: u64) -> Result<u64, Failure> {
    if value == 0 || value > largest {
        let message = format!("{flag} {value} is out of range");
        return Err(Failure::new(ErrorCode::Usage, message).hint(format!("1 to {largest}")));
    }
    Ok(value)
}

/// The shared secret: from the flag, from the variable, or the one that the agent file names.
fn secret(context: &Context, args: &Args, listen: &Listen) -> Result<Option<Vec<u8>>, Failure> {
    let typed = args.listen_shared_secret.clone().map(String::into_bytes);
    let variable = || {
        use std::os::unix::ffi::OsStrExt as _;
        context.variable("ERRAND_LISTEN_SECRET").map(|value| value.as_bytes().to_vec())
    };
    if let Some(secret) = typed.or_else(variable) {
        if secret.is_empty() {
            return Err(Failure::new(ErrorCode::Usage, "the shared secret is empty"));
        }
        return Ok(Some(secret));
    }
    let Some(name) = &listen.secret else { return Ok(None) };
    let vault = Vault::at(context.registry_or_place().secrets(), context.identity());
    let look_up = |name: &str| context.variable(name).map(ToOwned::to_owned);
    let secrets = vault.resolve(std::slice::from_ref(name), &look_up)?;
    Ok(secrets.first().map(|secret| secret.value.expose().to_vec()))
}
