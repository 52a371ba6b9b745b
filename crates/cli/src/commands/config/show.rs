//! `errand config show`: values in force, with their sources.

use comfy_table::{ContentArrangement, Table, presets};

use crate::config::{Configuration, ServerFlags};
use crate::context::Context;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: ServerFlags,
    /// Print it as one JSON object
    #[arg(long)]
    json: bool,
}

/// Shows the configuration.
pub(super) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let configuration = Configuration::load(context, &args.flags)?;
    if args.json {
        context.printer.json(&configuration.to_json())?;
        return Ok(0);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["SETTING", "VALUE", "FROM"]);
    for it in &configuration.in_force {
        let from = it.from(configuration.file.as_deref());
        // Not shortened, unlike elsewhere: half of a path is of no use.
        let line = |text: &str| text.replace(char::is_control, " ");
        table.add_row([it.setting.path.to_owned(), line(&it.shown()), line(&from)]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    context.printer.line(&lines.join("\n"))?;
    Ok(0)
}
