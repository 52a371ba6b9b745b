//! `errand context`: named servers, and the one that commands go to.

use std::path::PathBuf;

use clap::Subcommand;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use crate::context::Context;
use crate::contexts::{Contexts, LOCAL, Server, check_name};
use crate::failure::Failure;
use crate::remote::Url;
use crate::render;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give a server a name
    Add(Add),
    /// Send all commands to that server from now on; `local` is the registry of this machine
    Use(Name),
    /// List servers that have names
    Ls(Ls),
    /// Forget a server
    Rm(Name),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  errand context add prod --server https://errand.example.org --key-file ~/.errand-key
  errand --server prod ps      one command there
  errand context use prod      all commands there, until `errand context use local`")]
pub(crate) struct Add {
    /// The name
    name: String,
    /// The file that holds the API key; it is read each time
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Name {
    /// The context
    name: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Executes a subcommand.
pub(crate) fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    let path = context.contexts_file();
    let mut contexts = Contexts::read(&path)?;
    match command {
        Command::Ls(args) => return ls(context, &contexts, args.json),
        Command::Add(args) => add(context, &mut contexts, args)?,
        Command::Use(args) => {
            contexts.named(&args.name)?;
            contexts.used = args.name;
        }
        Command::Rm(args) => {
            contexts.named(&args.name)?;
            contexts.contexts.remove(&args.name);
            if contexts.used == args.name {
                contexts.used = LOCAL.to_owned();
                context.printer.note("it was in use: commands are for this machine again");
            }
        }
    }
    contexts.write(&path)?;
    Ok(0)
}

fn add(context: &Context, contexts: &mut Contexts, args: Add) -> Result<(), Failure> {
    check_name(&args.name)?;
    let typed = context.typed_server().ok_or_else(|| {
        Failure::new(errand_api::error_code::ErrorCode::Usage, "which server?")
            .hint("`errand context add NAME --server URL`")
    })?;
    let server = Url::parse(typed)?.to_string();
    let key_file = args.key_file.map(|path| context.cwd.join(path));
    let server = Server { server, key_file };
    // A key that cannot be read is reported now, and not by the first command that needs it.
    server.key()?;
    contexts.contexts.insert(args.name, server);
    Ok(())
}

fn ls(context: &Context, contexts: &Contexts, as_json: bool) -> Result<u8, Failure> {
    if as_json {
        let rows = contexts.contexts.iter().map(
            |(name, it)| json!({ "name": name, "server": it.server, "key_file": it.key_file }),
        );
        let document =
            json!({ "schema": 1, "used": contexts.used, "contexts": rows.collect::<Vec<_>>() });
        context.printer.json(&document)?;
        return Ok(0);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["NAME", "SERVER", "KEY FILE", ""]);
    let mut row = |name: &str, server: &str, key: String| {
        let used = if contexts.used == name { "in use" } else { "" };
        table.add_row([name, server, key.as_str(), used]);
    };
    row(LOCAL, "this machine", "-".to_owned());
    for (name, it) in &contexts.contexts {
        let key = it.key_file.as_ref().map_or("-".to_owned(), |path| path.display().to_string());
        row(name, &it.server, key);
    }
    context.printer.line(&render::lines(&mut table))?;
    Ok(0)
}
