//! Pages of `docs/reference`, generated from the program's definitions.

use std::fmt::Write as _;

use errand_api::error_code::ErrorCode;
use errand_api::exit_code;

use crate::help::grouped;

/// A generated page.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(crate) enum Page {
    /// All commands with their help.
    #[default]
    Commands,
    /// All error codes.
    ErrorCodes,
    /// All exit codes.
    ExitCodes,
    /// The description of the gateway's API.
    Openapi,
}

/// Returns a page as Markdown; the description of the API as JSON. `cli` makes the command line.
pub(crate) fn page(page: Page, cli: fn() -> clap::Command) -> Result<String, std::fmt::Error> {
    match page {
        Page::Commands => commands(cli()),
        Page::ErrorCodes => error_codes(),
        Page::ExitCodes => exit_codes(),
        Page::Openapi => Ok(format!("{:#}", errand_api::gateway::openapi::document())),
    }
}

fn commands(mut cli: clap::Command) -> Result<String, std::fmt::Error> {
    let mut text = String::from("# Commands\n\nMade from the program's own help.\n");
    cli.build();
    command(&mut text, &mut cli, "errand")?;
    Ok(text)
}

fn command(text: &mut String, command: &mut clap::Command, path: &str) -> std::fmt::Result {
    let help = grouped(&command.render_long_help().to_string(), &super::GROUPS);
    write!(text, "\n## `{path}`\n\n```text\n{help}```\n")?;
    for sub in command.get_subcommands_mut() {
        if sub.is_hide_set() || sub.get_name() == "help" {
            continue;
        }
        let path = format!("{path} {}", sub.get_name());
        self::command(text, sub, &path)?;
    }
    Ok(())
}

fn error_codes() -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "# Error codes\n\nWhat stands in `error[code]`, in `last_error.code` of a record, and in problems of the agent\n\
         API. A code keeps its meaning; `errand explain CODE` prints its page.\n\n\
         | code | exit code | what happened |\n| --- | ---: | --- |\n",
    );
    for code in ErrorCode::ALL {
        let name = code.as_str();
        let (exit, title) = (code.exit_code(), code.title());
        writeln!(text, "| [`{name}`](../errors/{name}.md) | {exit} | {title} |")?;
    }
    Ok(text)
}

fn exit_codes() -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "# Exit codes\n\nA foreground run and `errand wait` exit with the agent's own code. These are errand's; an agent\n\
         that was ended by a signal counts as 128 and the signal's number.\n\n\
         | exit code | what it says |\n| ---: | --- |\n",
    );
    for (code, meaning) in exit_code::ALL {
        writeln!(text, "| {code} | {meaning} |")?;
    }
    Ok(text)
}
