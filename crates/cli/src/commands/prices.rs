//! `errand prices`: prices of models, with their sources and their age.

use comfy_table::{ContentArrangement, Table, presets};
use errand_agent::Clock as _;
use errand_api::catalog::CatalogKind;
use errand_api::error_code::ErrorCode;
use errand_engine::prices;
use errand_model::Timestamp;
use errand_model::price::{Day, Origin, Price, PriceTable, TokenRates};

use crate::context::Context;
use crate::failure::Failure;
use crate::place::RegistryOrServer;
use crate::render;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prices are US dollars for a million tokens. Your own in `.errand/prices.yaml` win over those of the
catalog (`errand get price-table`), and these win over those that errand ships with; `errand explain
price_table_invalid` shows the form. The source and the factors of a price are shown by `--check`
and `--json`.

Examples:
  errand prices --check claude-opus-5-5            the price of a call made now
  errand prices --check openai/gpt-6.1-sol         of that provider")]
pub(crate) struct Args {
    /// Print the table as JSON, in millionths of a dollar
    #[arg(long)]
    json: bool,
    /// Print only the price that a call of this model has now; fails if it has none
    #[arg(long, value_name = "[PROVIDER/]MODEL")]
    check: Option<String>,
}

/// Prints the table in force, or the price of one model.
pub(crate) async fn run(context: &Context, args: &Args) -> Result<u8, Failure> {
    let table = in_force(context).await?;
    let now = errand_agent::SystemClock.now();
    let prices = match &args.check {
        Some(model) => vec![price_of(&table, model, now)?.clone()],
        None => table.prices().to_vec(),
    };
    if args.json {
        let document = serde_json::json!({ "schema": 1, "as_of": table.as_of(), "prices": prices });
        context.printer.json(&document)?;
        return Ok(0);
    }
    context.printer.line(&shown(&prices))?;
    if let Some(day) = table.as_of() {
        context.printer.note(&age(day, now));
    }
    Ok(0)
}

/// Returns the prices that calls have now: of runs on this machine, or on a server. The prices in a
/// file beside a server's registry are not known here.
async fn in_force(context: &Context) -> Result<PriceTable, Failure> {
    match context.place_of_catalog()? {
        None => Ok(prices::in_force(&context.surroundings().registry)?),
        Some(RegistryOrServer::Here(local)) => Ok(prices::of_namespace(&local, None).await?),
        Some(place @ RegistryOrServer::There(_)) => {
            let mut tables = Vec::new();
            for entry in place.all_definitions(CatalogKind::PriceTable).await? {
                tables.push(place.definition(&(entry.kind, entry.name), None).await?.manifest);
            }
            context.printer.note("prices in a file beside the server's registry are not shown");
            Ok(prices::with_tables(tables)?)
        }
    }
}

/// Returns the price of a model, before which a provider of the table may stand. Names of models have
/// slashes, too.
fn price_of<'a>(table: &'a PriceTable, model: &str, now: Timestamp) -> Result<&'a Price, Failure> {
    let is_provider = |name: &str| {
        let named = table.prices().iter().filter_map(|price| price.provider.as_deref());
        named.into_iter().any(|provider| provider.eq_ignore_ascii_case(name))
    };
    let (provider, model) = match model.split_once('/') {
        Some((provider, model)) if is_provider(provider) => (Some(provider), model),
        _ => (None, model),
    };
    table.price_of(provider, model, now).ok_or_else(|| {
        Failure::new(ErrorCode::ModelUnpriced, format!("no price of the model {model:?} is known"))
            .hint(
                "give it one in .errand/prices.yaml; `errand prices` shows the models with a price",
            )
    })
}

/// Says how old the shipped table is.
fn age(day: Day, now: Timestamp) -> String {
    let days = Day::of(now).number().saturating_sub(day.number()).max(0);
    let (plural, advice) = match days {
        1 => ("", ""),
        0..=90 => ("s", ""),
        _ => ("s", "; a newer errand may have newer ones"),
    };
    format!("the prices from errand are as of {day}, {days} day{plural} ago{advice}")
}

fn shown(prices: &[Price]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "PROVIDER", "MODEL", "PROMPT", "INPUT", "CACHED", "WRITE", "LONG", "OUTPUT", "SINCE",
        "FROM",
    ]);
    // A list of all prices has to fit a terminal.
    if prices.len() == 1 {
        table.set_header([
            "PROVIDER", "MODEL", "PROMPT", "INPUT", "CACHED", "WRITE", "LONG", "OUTPUT", "SINCE",
            "FROM", "FACTORS", "SOURCE",
        ]);
    }
    for price in prices {
        let rows = [("any".to_owned(), price.rates)].into_iter();
        let long = price.above.iter().map(|long| (format!(">{}", long.above), long.rates));
        for (prompt, rates) in rows.chain(long) {
            let mut row = row(price, prompt, rates);
            if prices.len() == 1 {
                row.extend([factors(price), price.source.replace(char::is_control, " ")]);
            }
            table.add_row(row);
        }
    }
    render::lines(&mut table)
}

/// Characters of the source of a price that errand does not ship, in a list.
const SOURCE_CHARS: usize = 40;

fn row(price: &Price, prompt: String, rates: TokenRates) -> Vec<String> {
    let source: String =
        price.source.replace(char::is_control, " ").chars().take(SOURCE_CHARS).collect();
    let origin = match price.origin {
        Origin::Shipped => "errand".to_owned(),
        Origin::Catalog => format!("catalog: {source}"),
        Origin::User => format!("you: {source}"),
    };
    vec![
        render::one_line(price.provider.as_deref().unwrap_or("*")),
        render::one_line(&price.model),
        prompt,
        render::money(rates.input),
        render::money(rates.cached_input),
        render::money(rates.cache_write),
        render::money(rates.cache_write_long),
        render::money(rates.output),
        price.date.to_string(),
        origin,
    ]
}

/// The factors that the price gives, such as `batch 0.50`.
fn factors(price: &Price) -> String {
    let factors = &price.factors;
    let named = [
        ("batch", factors.batch),
        ("flex", factors.flex),
        ("fast", factors.fast),
        ("regional", factors.regional),
    ];
    let given = named.into_iter().filter_map(|(name, factor)| Some((name, factor?)));
    let words: Vec<_> = given.map(|(name, it)| format!("{name} {}", render::money(it))).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}
