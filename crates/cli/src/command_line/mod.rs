//! Parsing of the command line, and the messages for words that are no command.

mod habits;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args as _, FromArgMatches as _, Parser as _, Subcommand as _};
use errand_api::error_code::ErrorCode;
use errand_api::exit_code;

use crate::args::{Cli, Global};
use crate::commands::{GROUPS, agent, internal, ps, run, wait};
use crate::help::grouped;

/// Commands whose bare name runs their subcommand `ls`.
const LISTED_BY_NAME: [&str; 7] =
    ["agents", "approvals", "callbacks", "dlq", "hooks", "schedules", "sessions"];

/// Words of a command line that a hint repeats.
const HINTED_WORDS: usize = 24;

/// Parses the words that the process was started with.
///
/// # Errors
///
/// The exit code, once help, version or the refusal is printed.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if let [_, only] = &words[..]
        && (only == "--version" || only == "-V")
    {
        // Programs that look for errand ask this; the list of commands is not needed for it.
        drop(writeln!(io::stdout(), "errand {}", env!("CARGO_PKG_VERSION")));
        return Err(ExitCode::from(exit_code::SUCCESS));
    }
    if let Some(cli) = parse_often_called(&words) {
        return Ok(cli);
    }
    Cli::try_parse_from(&words)
        .or_else(|error| {
            let is_bare = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                && words.last().is_some_and(|last| LISTED_BY_NAME.iter().any(|name| last == name));
            if !is_bare {
                return Err(error);
            }
            words.push("ls".into());
            Cli::try_parse_from(&words)
        })
        .map_err(|error| report(&error, &words))
}

/// Parses a valid call of a frequently used command without building the other commands, which
/// would take most of the start-up time. Returns `None` if the full parser has to decide: another
/// command, help, or an error.
fn parse_often_called(words: &[OsString]) -> Option<Cli> {
    let name = words.get(1)?.to_str()?;
    let command = clap::Command::new(name.to_owned());
    let command = match name {
        "run" => run::Args::augment_args(command),
        "ps" => ps::Args::augment_args(command),
        "wait" => wait::Args::augment_args(command),
        "agent" => agent::Command::augment_subcommands(command),
        "internal" => internal::Command::augment_subcommands(command),
        _ => return None,
    };
    let whole = Global::augment_args(clap::Command::new("errand")).subcommand(command);
    let matches = whole.try_get_matches_from(words).ok()?;
    Cli::from_arg_matches(&matches).ok()
}

/// Prints help and version to stdout, which is success, and anything else as a refusal to stderr.
fn report(error: &clap::Error, words: &[OsString]) -> ExitCode {
    let rendered = error.render();
    if !error.use_stderr() {
        print(io::stdout().is_terminal(), &rendered, io::stdout());
        return ExitCode::from(exit_code::SUCCESS);
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        print(io::stderr().is_terminal(), &rendered, io::stderr());
        return ExitCode::from(exit_code::USAGE);
    }
    let text = match unknown_command(error) {
        Some(name) => habits::refusal(&name),
        None => {
            let hint = separator_hint(error, words).unwrap_or_default();
            with_code(&rendered.to_string()) + &hint
        }
    };
    // The process ends in any case, even if the terminal is gone.
    drop(io::stderr().write_all(text.as_bytes()));
    ExitCode::from(exit_code::USAGE)
}

/// Writes help; that of errand itself lists its commands in groups.
fn print(is_terminal: bool, rendered: &clap::builder::StyledStr, mut to: impl io::Write) {
    let is_coloured = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    let text = if is_coloured { rendered.ansi().to_string() } else { rendered.to_string() };
    // The process ends in any case, even if the reader is gone.
    drop(to.write_all(grouped(&text, &GROUPS).as_bytes()));
}

/// Returns the word that stands where a command of errand itself belongs.
fn unknown_command(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let usage = error.get(ContextKind::Usage)?.to_string();
    let is_top = usage.trim_end().ends_with("errand [OPTIONS] <COMMAND>");
    let word = error.get(ContextKind::InvalidSubcommand)?;
    if let ContextValue::String(name) = word
        && is_top
    {
        return Some(name.clone());
    }
    None
}

/// Returns a hint for `errand run` with a command whose `--` is missing: the command was taken for the
/// path of an agent.
fn separator_hint(error: &clap::Error, words: &[OsString]) -> Option<String> {
    if error.kind() != ErrorKind::ArgumentConflict || words.len() > HINTED_WORDS {
        return None;
    }
    let is_option = |word: &OsString| word.to_str().is_none_or(|word| word.starts_with('-'));
    (2..words.len()).filter(|place| !words.get(*place).is_none_or(is_option)).find_map(|place| {
        let mut separated = words.to_vec();
        separated.insert(place, "--".into());
        parse_often_called(&separated)?;
        let line: Option<Vec<&str>> = separated.iter().skip(1).map(|word| word.to_str()).collect();
        let line = line?.join(" ").escape_debug().to_string();
        Some(format!("hint: write `--` before the command: errand {line}\n"))
    })
}

/// Puts the code of errand's errors before a refusal of the parser.
fn with_code(refusal: &str) -> String {
    let text = refusal.strip_prefix("error: ").unwrap_or(refusal);
    format!("error[{}]: {text}", ErrorCode::Usage)
}
