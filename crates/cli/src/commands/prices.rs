//! `errand prices`: prices of models, with their sources.

use comfy_table::{ContentArrangement, Table, presets};
use errand_engine::prices;
use errand_model::price::{Origin, Price};

use crate::context::Context;
use crate::failure::Failure;
use crate::render;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prices are US dollars for a million tokens. Your own in `.errand/prices.yaml` win over those that
errand ships with; `errand explain price_table_invalid` shows the form.")]
pub(crate) struct Args {
    /// Print the table as JSON, in millionths of a dollar
    #[arg(long)]
    json: bool,
}

/// Prints the table in force.
pub(crate) fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let table = prices::in_force(&context.surroundings().registry)?;
    if args.json {
        let document = serde_json::json!({ "schema": 1, "prices": table.prices() });
        context.printer.json(&document)?;
    } else {
        context.printer.line(&shown(table.prices()))?;
    }
    Ok(0)
}

fn shown(prices: &[Price]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["PROVIDER", "MODEL", "INPUT", "CACHED", "OUTPUT", "SINCE", "FROM", "SOURCE"]);
    for price in prices {
        let origin = match price.origin {
            Origin::Shipped => "errand",
            Origin::User => "you",
        };
        table.add_row([
            render::one_line(price.provider.as_deref().unwrap_or("*")),
            render::one_line(&price.model),
            render::money(price.input),
            render::money(price.cached_input),
            render::money(price.output),
            price.date.to_string(),
            origin.to_owned(),
            price.source.replace(char::is_control, " "),
        ]);
    }
    render::lines(&mut table)
}
