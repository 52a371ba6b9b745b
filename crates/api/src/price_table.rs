//! Price tables: the one that errand ships with, and the user's own.
//!
//! Both are YAML of the same form. What is wrong with one is told by line and column, all at once,
//! as for an agent file; a table with a problem is not used at all.

use std::sync::OnceLock;

use errand_model::price::{Day, Origin, Price, PriceTable};

use crate::agent_file::at::At;
use crate::agent_file::reader::{Object, Reader};
use crate::agent_file::yaml::{self, Kind, Node};
use crate::agent_file::{AgentFileProblem, Problems, micro_usd};

/// The name of the user's table in the registry's folder.
pub const FILE_NAME: &str = "prices.yaml";

/// The version of the form.
const SCHEMA: u64 = 1;
const ROOT_FIELDS: &[&str] = &["schema", "prices"];
const PRICE_FIELDS: &[&str] =
    &["provider", "model", "input", "cached_input", "output", "date", "source"];
/// The highest price: a million dollars for a million tokens.
const MAX_MICRO_USD: u64 = 1_000_000_000_000;

static SHIPPED_TEXT: &str = include_str!("../prices/list-prices.yaml");

/// Returns the prices that errand ships with.
///
/// # Errors
///
/// [`Problems`] only if this program was built with a damaged table, which a test excludes.
pub fn shipped() -> Result<&'static PriceTable, &'static Problems> {
    static TABLE: OnceLock<Result<PriceTable, Problems>> = OnceLock::new();
    TABLE
        .get_or_init(|| {
            read("list-prices.yaml", SHIPPED_TEXT.as_bytes(), Origin::Shipped).map(PriceTable::new)
        })
        .as_ref()
}

/// The user's prices, from the bytes of a file called `source_name` in what is said about it.
///
/// # Errors
///
/// [`Problems`]: everything that is wrong with it.
pub fn parse(source_name: &str, bytes: &[u8]) -> Result<Vec<Price>, Problems> {
    read(source_name, bytes, Origin::User)
}

fn read(source_name: &str, bytes: &[u8], origin: Origin) -> Result<Vec<Price>, Problems> {
    let prices = yaml::load(bytes).map_err(without_hints).and_then(|root| prices(&root, origin));
    prices.map_err(|problems| Problems::new(source_name, bytes, problems))
}

/// The hints of the loader are about agent files.
fn without_hints(problems: Vec<AgentFileProblem>) -> Vec<AgentFileProblem> {
    let about_agents = |hint: &String| hint.contains("agent") || hint.contains("Agent");
    problems
        .into_iter()
        .map(|problem| AgentFileProblem {
            hint: problem.hint.filter(|it| !about_agents(it)),
            ..problem
        })
        .collect()
}

fn prices(root: &Node, origin: Origin) -> Result<Vec<Price>, Vec<AgentFileProblem>> {
    let mut reader = Reader::default();
    let at = At { node: root, path: String::new() };
    let mut prices = Vec::new();
    if let Some(fields) = reader.object(&at, ROOT_FIELDS) {
        let schema = fields.require(&mut reader, "schema", "write schema: 1");
        if let Some(schema) = schema {
            reader.whole(&schema, SCHEMA..=SCHEMA);
        }
        let list = fields.require(&mut reader, "prices", "write prices: [] for none");
        for item in list.map(|list| reader.list(&list)).unwrap_or_default() {
            let Some(price) = price(&mut reader, &item, origin) else { continue };
            let same = |other: &Price| {
                (&other.provider, &other.model, other.date)
                    == (&price.provider, &price.model, price.date)
            };
            if prices.iter().any(same) {
                let message = format!("the price of {:?} is given twice", price.model);
                reader.report_hint(&item, message, "give each its own date, or keep one of them");
            }
            prices.push(price);
        }
    }
    if reader.problems.is_empty() { Ok(prices) } else { Err(reader.problems) }
}

fn price(reader: &mut Reader, at: &At<'_>, origin: Origin) -> Option<Price> {
    let fields = reader.object(at, PRICE_FIELDS)?;
    let provider = match fields.get("provider") {
        Some(at) => Some(name(reader, &at)?),
        None => None,
    };
    let model = fields.require(reader, "model", "the name of a model; * stands for any characters");
    let model = model.and_then(|at| name(reader, &at));
    let input = amount(reader, &fields, "input");
    let output = amount(reader, &fields, "output");
    let cached_input = match fields.get("cached_input") {
        Some(at) => dollars(reader, &at),
        None => input,
    };
    let date = fields.require(reader, "date", "since when the price holds, such as 2025-03-31");
    let date = date.and_then(|at| day(reader, &at));
    let source = fields.require(reader, "source", "where the price is from, such as a web address");
    let source = source.and_then(|at| reader.text(&at));
    Some(Price {
        provider,
        model: model?,
        input: input?,
        cached_input: cached_input?,
        output: output?,
        date: date?,
        source: source?,
        origin,
    })
}

fn amount(reader: &mut Reader, fields: &Object<'_>, name: &str) -> Option<u64> {
    let at = fields.require(reader, name, "US dollars for a million tokens, such as 2.50")?;
    dollars(reader, &at)
}

/// US dollars for a million tokens, in whole millionths.
fn dollars(reader: &mut Reader, at: &At<'_>) -> Option<u64> {
    if let Kind::Number { text } = &at.node.kind
        && text.starts_with('-')
    {
        let message = format!("the price {text} is negative");
        reader.report_hint(at, message, "write 0 for what costs nothing");
        return None;
    }
    let price = micro_usd(reader, at)?;
    if price > MAX_MICRO_USD {
        reader.report(at, "the price is more than a million dollars for a million tokens");
        return None;
    }
    Some(price)
}

/// A name of a provider or a model, or a pattern for some.
fn name(reader: &mut Reader, at: &At<'_>) -> Option<String> {
    let name = match &at.node.kind {
        // A model may be called 4.5.
        Kind::Number { .. } => reader.word(at),
        Kind::Null | Kind::Bool { .. } | Kind::Text { .. } | Kind::List(_) | Kind::Map(_) => {
            reader.text(at)
        }
    }?;
    if name.len() > errand_model::accounting::MAX_NAME_BYTES || name.trim() != name {
        reader.report(at, "the name is too long, or has blanks at its ends");
        return None;
    }
    Some(name)
}

fn day(reader: &mut Reader, at: &At<'_>) -> Option<Day> {
    let text = reader.text(at)?;
    let day = text.parse();
    if day.is_err() {
        reader.report_hint(at, format!("{text:?} is not a day"), "write it as 2025-03-31");
    }
    day.ok()
}

#[cfg(test)]
mod tests {
    use errand_model::Timestamp;
    use errand_model::accounting::Tokens;

    use super::*;

    #[test]
    fn the_shipped_table_can_be_read_and_says_where_each_price_is_from() {
        let table = shipped().unwrap();
        assert!(table.prices().iter().all(|price| price.source.starts_with("https://")));
        let at = Timestamp::from_millis(1_800_000_000_000);
        let cost = |provider, model, input, output| {
            let price = table.price_of(Some(provider), model, at)?;
            Some(price.cost(Tokens { input, output, ..Tokens::default() }))
        };
        assert_eq!(cost("openai", "gpt-4o-mini", 120, 30), Some(36));
        assert_eq!(cost("openai", "gpt-4o-mini-2024-07-18", 120, 30), Some(36));
        assert_eq!(cost("openai", "gpt-4o", 1_000, 1_000), Some(12_500));
        assert_eq!(cost("openai", "gpt-4o-realtime-preview", 1, 1), None);
        assert_eq!(cost("anthropic", "claude-sonnet-4-5", 1_000, 1_000), Some(18_000));
        assert_eq!(cost("anthropic", "claude-sonnet-4-5-20250929", 1_000, 0), Some(3_000));
        assert_eq!(cost("openai", "claude-sonnet-4-5", 1, 1), None);
        assert_eq!(cost("acme", "house-model", 1, 1), None);
    }

    fn complaints(text: &str) -> String {
        match parse("prices.yaml", text.as_bytes()) {
            Ok(prices) => format!("{} prices", prices.len()),
            Err(problems) => problems.to_string(),
        }
    }

    #[test]
    fn a_good_table_is_exact() {
        let text = "schema: 1\nprices:\n- { model: m, input: 0.000001, output: 3, \
                    cached_input: 0, date: 2025-01-01, source: contract 7 }\n";
        let prices = parse("prices.yaml", text.as_bytes()).unwrap();
        let [price] = prices.as_slice() else { panic!("{prices:?}") };
        assert_eq!((price.input, price.cached_input, price.output), (1, 0, 3_000_000));
        assert_eq!((price.provider.as_deref(), price.origin), (None, Origin::User));
        assert_eq!(complaints("schema: 1\nprices: []\n"), "0 prices");
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_place() {
        let text = "schema: 1\nprices:\n- model: m\n  input: -1\n  output: cheap\n  \
                    reasoning: 5\n  date: soon\n  source: ''\n- {}\n";
        let expected = "\
prices.yaml:4:10: prices[0].input: the price -1 is negative
  hint: write 0 for what costs nothing
prices.yaml:5:11: prices[0].output: the text \"cheap\" is not an amount of US dollars
  hint: write a number with at most six decimals, such as 2.50
prices.yaml:6:3: prices[0].reasoning: unknown field \"reasoning\"
  hint: known here: provider, model, input, cached_input, output, date, source
prices.yaml:7:9: prices[0].date: \"soon\" is not a day
  hint: write it as 2025-03-31
prices.yaml:8:11: prices[0].source: the text is empty";
        let found = complaints(text);
        assert!(found.starts_with(expected), "{found}");
        assert!(found.contains("prices.yaml:9:3: prices[1]: \"model\" is missing"), "{found}");
        for (text, complaint) in [
            ("", "prices.yaml:1:1: the file is empty"),
            ("[]", "prices.yaml:1:1: expected a mapping, found a list"),
            (
                "schema: 2\nprices: []",
                "prices.yaml:1:9: schema: expected a whole number from 1 to 1, found 2",
            ),
            ("prices: [", "this is not YAML"),
        ] {
            assert!(complaints(text).contains(complaint), "{}", complaints(text));
        }
        let price = "{ model: m, input: 1, output: 1, date: 2025-01-01, source: s }";
        let twice = format!("schema: 1\nprices:\n- {price}\n- {price}\n");
        assert!(
            complaints(&twice)
                .starts_with("prices.yaml:4:3: prices[1]: the price of \"m\" is given twice")
        );
    }
}
