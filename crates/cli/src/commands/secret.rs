//! `errand secret`: management of agents' secrets.

use std::io::{BufRead as _, Read as _, Write as _};

use clap::Subcommand;
use errand_agent::secret::{Init, SecretValue, Vault};
use errand_api::error_code::ErrorCode;
use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr};

use crate::context::Context;
use crate::failure::Failure;

/// Longest value that is read: longer than any secret.
const VALUE_LIMIT_BYTES: u64 = 128 * 1024;

#[derive(Debug, Subcommand)]
#[expect(clippy::doc_markdown, reason = "help texts are read in a terminal")]
pub(crate) enum Command {
    /// Make the store, and the user's identity that opens it
    Init,
    /// Set a secret: asks for its value, or reads it from stdin
    Set {
        /// Its name, such as GITHUB_TOKEN
        name: String,
        /// Read the value from stdin, without its last line's end
        #[arg(long)]
        value_stdin: bool,
    },
    /// List the names of secrets; values are never shown
    Ls {
        /// Print the names as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a secret
    Rm {
        /// Its name
        name: String,
    },
}

/// Executes a subcommand.
pub(crate) fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    context.check_own()?;
    let registry = context.registry_or_place();
    let vault = Vault::at(registry.secrets(), context.identity());
    match command {
        Command::Init => {
            registry.create()?;
            let identity = context.identity();
            let said = match vault.init()? {
                Init::NewIdentity => format!("a new identity was made: {}", identity.display()),
                Init::ExistingIdentity => format!("your identity is used: {}", identity.display()),
            };
            context.printer.note(&said);
            context
                .printer
                .note("keep a copy of it in a safe place: without it the secrets cannot be read");
        }
        Command::Set { name, value_stdin } => {
            vault.check()?;
            let value = if value_stdin { from_stdin()? } else { from_terminal(context, &name)? };
            vault.set(&name, &value)?;
            context.printer.note(&format!("{name} is set"));
        }
        Command::Ls { json } => {
            let names = if vault.folder().is_dir() { vault.list()? } else { Vec::new() };
            if json {
                context.printer.json(&serde_json::json!({ "schema": 1, "secrets": names }))?;
            } else {
                for name in names {
                    context.printer.line(&name)?;
                }
            }
        }
        Command::Rm { name } => {
            vault.remove(&name).map_err(|error| unknown(&vault, &name, error))?;
            context.printer.note(&format!("{name} is removed"));
        }
    }
    Ok(0)
}

/// Returns the failure to remove an unknown name, with the closest known name.
fn unknown(vault: &Vault, name: &str, error: errand_agent::secret::Error) -> Failure {
    use errand_agent::secret::Error;
    if !matches!(error, Error::Missing { .. }) {
        return error.into();
    }
    let names = vault.list().unwrap_or_default();
    let message = format!("there is no secret {name}");
    let failure = Failure::new(ErrorCode::SecretMissing, message);
    match errand_api::agent_file::closest(name, names.iter().map(String::as_str)) {
        Some(meant) => failure.hint(format!("did you mean {meant}?")),
        None => failure.hint("`errand secret ls` lists them"),
    }
}

fn malformed(error: errand_agent::secret::MalformedSecret) -> Failure {
    Failure::new(ErrorCode::SecretValueInvalid, error.to_string())
}

fn from_stdin() -> Result<SecretValue, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(VALUE_LIMIT_BYTES).read_to_end(&mut bytes).map_err(|error| {
        Failure::new(ErrorCode::IoFailed, "cannot read the value from stdin").because(&error)
    })?;
    SecretValue::from_line(bytes).map_err(malformed)
}

/// Reads the value from the terminal, without showing it.
fn from_terminal(context: &Context, name: &str) -> Result<SecretValue, Failure> {
    let stdin = std::io::stdin();
    if !isatty(&stdin) {
        return Err(Failure::new(ErrorCode::Usage, "there is no terminal to ask at")
            .hint("give the value on stdin with --value-stdin"));
    }
    let io = |error: rustix::io::Errno| Failure::internal("cannot silence the terminal", &error);
    let before: Termios = tcgetattr(&stdin).map_err(io)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL);
    context.printer.stderr(format!("value of {name}: ").as_bytes());
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(io)?;
    let mut line = Vec::new();
    let read = stdin.lock().take(VALUE_LIMIT_BYTES).read_until(b'\n', &mut line);
    tcsetattr(&stdin, OptionalActions::Flush, &before).map_err(io)?;
    drop(std::io::stderr().flush());
    read.map_err(|error| {
        Failure::new(ErrorCode::IoFailed, "cannot read the value").because(&error)
    })?;
    SecretValue::from_line(line).map_err(malformed)
}
