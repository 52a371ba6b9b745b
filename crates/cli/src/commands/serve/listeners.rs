//! Listeners of a service, from agent file and flags.

use std::net::SocketAddr;

use errand_agent::secret::Vault;
use errand_api::agent_file::{
    Agent, Listen, MalformedAddress, MalformedHost, parse_address, parse_host, parse_method,
};
use errand_api::error_code::ErrorCode;
use errand_engine::service::listener_spec;
use errand_model::event::{ListenerSpec, Respond};

use crate::context::Context;
use crate::failure::Failure;

// Flags about listeners.
#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "help texts are read in a terminal")]
pub(super) struct ListenFlags {
    /// An address whose requests wake the agent; port 0 picks one; may be given again
    #[arg(long = "listen", value_name = "ADDRESS")]
    listen: Vec<String>,
    /// The only path that is answered
    #[arg(long, value_name = "PATH")]
    listen_path: Option<String>,
    /// A method that is answered; may be given again
    #[arg(long = "listen-method", value_name = "METHOD")]
    listen_methods: Vec<String>,
    /// Time of the answer: at_end of the wake, or at_once when it is durable
    #[arg(long, value_name = "WHEN", value_parser = respond)]
    listen_respond: Option<Respond>,
    /// The name of a host, other than localhost, for which requests are taken without a secret:
    /// what a proxy passes on; may be given again
    #[arg(long = "listen-host", value_name = "NAME")]
    listen_hosts: Vec<String>,
    /// Secret that callers must send; better: name one in the agent file [env:
    /// ERRAND_LISTEN_SECRET]
    #[arg(long, value_name = "SECRET")]
    listen_shared_secret: Option<String>,
    /// The largest body that is read
    #[arg(long, value_name = "BYTES")]
    listen_max_body_bytes: Option<u64>,
    /// The largest request line and headers that are read
    #[arg(long, value_name = "BYTES")]
    listen_max_header_bytes: Option<u64>,
}

/// Parses the time of the response.
fn respond(text: &str) -> Result<Respond, String> {
    let word = text.replace('-', "_");
    let known = [Respond::AtEnd, Respond::AtOnce].into_iter().find(|it| it.word() == word);
    known.ok_or_else(|| "write at_end or at_once".to_owned())
}

/// Returns the listeners of flags and file, those of the file first.
pub(super) fn of(
    context: &Context,
    flags: &ListenFlags,
    agent: &Agent,
) -> Result<Vec<ListenerSpec>, Failure> {
    let named = addresses(flags)?;
    if named.is_empty() && agent.listen.is_empty() {
        return flags.refuse_alone();
    }
    let is_named = |listen: &Listen| named.is_empty() || named.contains(&listen.address);
    let mut listeners: Vec<(Listen, bool)> =
        agent.listen.iter().map(|listen| (listen.clone(), is_named(listen))).collect();
    let like = match agent.listen.as_slice() {
        [only] => only.clone(),
        [] | [_, _, ..] => Listen::default(),
    };
    for address in named {
        if !agent.listen.iter().any(|listen| listen.address == address) {
            listeners.push((Listen { address, ..like.clone() }, true));
        }
    }
    listeners
        .into_iter()
        .map(|(listen, by_flags)| spec(context, flags, (listen, by_flags)))
        .collect()
}

fn spec(
    context: &Context,
    flags: &ListenFlags,
    (mut listen, by_flags): (Listen, bool),
) -> Result<ListenerSpec, Failure> {
    let mut typed = None;
    if by_flags {
        flags.apply(&mut listen)?;
        typed = flags.secret(context)?;
    }
    let secret = match typed {
        Some(secret) => Some(secret),
        None => authored_secret(context, &listen)?,
    };
    let address = listen.address;
    if !address.ip().is_loopback() && secret.is_none() {
        let message = format!("{address} is reached by other machines, and no secret is asked for");
        return Err(Failure::new(ErrorCode::ListenUnsafe, message)
            .hint("name a secret in the agent file's `listen.secret`, or listen on 127.0.0.1"));
    }
    Ok(listener_spec(&listen, secret.as_deref()))
}

/// Returns the addresses of `--listen`, each once.
fn addresses(flags: &ListenFlags) -> Result<Vec<SocketAddr>, Failure> {
    let mut addresses = Vec::new();
    for text in &flags.listen {
        let address = parse_address(text).map_err(|error| {
            Failure::new(ErrorCode::ListenAddressInvalid, format!("--listen: {error}"))
                .hint(MalformedAddress::HINT)
        })?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

impl ListenFlags {
    /// Refuses flags about a listener if there is none.
    fn refuse_alone(&self) -> Result<Vec<ListenerSpec>, Failure> {
        let says_more = self.listen_path.is_some()
            || !self.listen_methods.is_empty()
            || !self.listen_hosts.is_empty()
            || self.listen_respond.is_some()
            || self.listen_shared_secret.is_some()
            || self.listen_max_body_bytes.is_some()
            || self.listen_max_header_bytes.is_some();
        if says_more {
            return Err(Failure::new(ErrorCode::Usage, "the --listen-… flags need --listen")
                .hint("--listen 127.0.0.1:0 lets the system pick a port"));
        }
        Ok(Vec::new())
    }

    /// Overrides the file's values by the flags'; lists are joined.
    fn apply(&self, listen: &mut Listen) -> Result<(), Failure> {
        if let Some(path) = &self.listen_path {
            if !path.starts_with('/') {
                let message = format!("--listen-path {path:?} has no leading /");
                return Err(Failure::new(ErrorCode::Usage, message));
            }
            listen.path = Some(path.clone());
        }
        for method in &self.listen_methods {
            let method = parse_method(&method.to_ascii_uppercase()).map_err(|error| {
                Failure::new(ErrorCode::Usage, format!("--listen-method: {error}"))
            })?;
            if !listen.methods.contains(&method) {
                listen.methods.push(method);
            }
        }
        for host in &self.listen_hosts {
            let host = parse_host(host).map_err(|error| {
                Failure::new(ErrorCode::Usage, format!("--listen-host: {error}"))
                    .hint(MalformedHost::HINT)
            })?;
            if !listen.hosts.contains(&host) {
                listen.hosts.push(host);
            }
        }
        listen.respond = self.listen_respond.unwrap_or(listen.respond);
        listen.max_body_bytes = bound(
            "--listen-max-body-bytes",
            self.listen_max_body_bytes.unwrap_or(listen.max_body_bytes),
            Listen::LARGEST_MAX_BODY_BYTES,
        )?;
        listen.max_header_bytes = bound(
            "--listen-max-header-bytes",
            self.listen_max_header_bytes.unwrap_or(listen.max_header_bytes),
            Listen::LARGEST_MAX_HEADER_BYTES,
        )?;
        Ok(())
    }

    /// Returns the shared secret of the flag, or else of the variable.
    fn secret(&self, context: &Context) -> Result<Option<Vec<u8>>, Failure> {
        let typed = self.listen_shared_secret.clone().map(String::into_bytes);
        let variable = || {
            use std::os::unix::ffi::OsStrExt as _;
            context.variable("ERRAND_LISTEN_SECRET").map(|value| value.as_bytes().to_vec())
        };
        let secret = typed.or_else(variable);
        if secret.as_ref().is_some_and(Vec::is_empty) {
            return Err(Failure::new(ErrorCode::Usage, "the shared secret is empty"));
        }
        Ok(secret)
    }
}

fn bound(flag: &str, value: u64, largest: u64) -> Result<u64, Failure> {
    if value == 0 || value > largest {
        let message = format!("{flag} {value} is out of range");
        return Err(Failure::new(ErrorCode::Usage, message).hint(format!("1 to {largest}")));
    }
    Ok(value)
}

/// Returns the shared secret that the agent file names.
fn authored_secret(context: &Context, listen: &Listen) -> Result<Option<Vec<u8>>, Failure> {
    let Some(name) = &listen.secret else { return Ok(None) };
    let vault = Vault::at(context.registry_or_place().secrets(), context.identity());
    let look_up = |name: &str| context.variable(name).map(ToOwned::to_owned);
    let secrets = vault.resolve(std::slice::from_ref(name), &look_up)?;
    Ok(secrets.first().map(|secret| secret.value.expose().to_vec()))
}
