//! Price tables: the one that errand ships with, and the user's own.
//!
//! Both are YAML of the same form. What is wrong with one is told by line and column, all at once,
//! as for an agent file; a table with a problem is not used at all.

use std::sync::OnceLock;

use errand_model::price::{
    Day, LongPromptRates, Origin, Price, PriceFactors, PriceTable, TokenRates,
};

use serde_json::Value;

use crate::agent_file::at::At;
use crate::agent_file::reader::{Object, Reader};
use crate::agent_file::yaml::{self, Kind, Node};
use crate::agent_file::{AgentFileProblem, Problems, micro_usd};

/// The name of the user's table in the registry's folder.
pub const FILE_NAME: &str = "prices.yaml";

/// The version of the form.
const SCHEMA: u64 = 1;
const ROOT_FIELDS: &[&str] = &["schema", "as_of", "prices"];
const PRICE_FIELDS: &[&str] = &[
    "provider",
    "model",
    "input",
    "cached_input",
    "cache_write",
    "cache_write_long",
    "output",
    "above",
    "batch",
    "flex",
    "fast",
    "regional",
    "date",
    "source",
];
const ABOVE_FIELDS: &[&str] =
    &["tokens", "input", "cached_input", "cache_write", "cache_write_long", "output"];
/// The largest factor of a class of service, in millionths: ten times the price.
const MAX_FACTOR: u64 = 10_000_000;
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
            let (prices, as_of) =
                read("list-prices.yaml", SHIPPED_TEXT.as_bytes(), Origin::Shipped)?;
            let table = PriceTable::new(prices);
            Ok(as_of.map_or_else(|| table.clone(), |day| table.clone().compared_on(day)))
        })
        .as_ref()
}

/// The user's prices, from the bytes of a file called `source_name` in what is said about it.
///
/// # Errors
///
/// [`Problems`]: everything that is wrong with it.
pub fn parse(source_name: &str, bytes: &[u8]) -> Result<Vec<Price>, Problems> {
    read(source_name, bytes, Origin::User).map(|(prices, _)| prices)
}

/// The prices of a table, and the day that they are as of.
type DatedPrices = (Vec<Price>, Option<Day>);

fn read(source_name: &str, bytes: &[u8], origin: Origin) -> Result<DatedPrices, Problems> {
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

fn prices(root: &Node, origin: Origin) -> Result<DatedPrices, Vec<AgentFileProblem>> {
    let mut reader = Reader::default();
    let at = At { node: root, path: String::new() };
    let mut prices = Vec::new();
    let mut as_of = None;
    if let Some(fields) = reader.object(&at, ROOT_FIELDS) {
        let schema = fields.require(&mut reader, "schema", "write schema: 1");
        if let Some(schema) = schema {
            reader.whole(&schema, SCHEMA..=SCHEMA);
        }
        as_of = fields.get("as_of").and_then(|at| day(&mut reader, &at));
        let list = fields.require(&mut reader, "prices", "write prices: [] for none");
        for item in list.map(|list| reader.list(&list)).unwrap_or_default() {
            let Some(price) = price(&mut reader, &item, origin) else { continue };
            report_twin(&mut reader, &item, (&prices, &price));
            prices.push(price);
        }
    }
    if reader.problems.is_empty() { Ok((prices, as_of)) } else { Err(reader.problems) }
}

/// Reports prices of one model and date. The list at `at` has these prices.
pub(crate) fn report_twins(reader: &mut Reader, at: &At<'_>, prices: &[Price]) {
    for (index, (item, price)) in reader.list(at).iter().zip(prices).enumerate() {
        report_twin(reader, item, (&prices[..index], price));
    }
}

/// Reports the price at `at` if there is one of that model and date before it.
fn report_twin(reader: &mut Reader, at: &At<'_>, (before, price): (&[Price], &Price)) {
    let key = |price: &Price| (price.provider.clone(), price.model.clone(), price.date);
    if before.iter().any(|other| key(other) == key(price)) {
        let message = format!("the price of {:?} is given twice", price.model);
        reader.report_hint(at, message, "give each its own date, or keep one of them");
    }
}

/// Returns the price that a JSON object describes; `None` if it is none.
pub(crate) fn of_json(price_json: &Value, origin: Origin) -> Option<Price> {
    // JSON is YAML.
    let root = yaml::load(price_json.to_string().as_bytes()).ok()?;
    price(&mut Reader::default(), &At { node: &root, path: String::new() }, origin)
}

/// Reads a price. `None`: the reader has the problems.
pub(crate) fn price(reader: &mut Reader, at: &At<'_>, origin: Origin) -> Option<Price> {
    let fields = reader.object(at, PRICE_FIELDS)?;
    let provider = match fields.get("provider") {
        Some(at) => Some(name(reader, &at)?),
        None => None,
    };
    let model = fields.require(reader, "model", "the name of a model; * stands for any characters");
    let model = model.and_then(|at| name(reader, &at));
    let rates = rates(reader, &fields);
    let long = fields.get("above").map(|at| reader.list(&at)).unwrap_or_default();
    let above: Vec<_> = long.iter().filter_map(|item| long_prompt(reader, item)).collect();
    let factors = PriceFactors {
        batch: factor(reader, &fields, "batch"),
        flex: factor(reader, &fields, "flex"),
        fast: factor(reader, &fields, "fast"),
        regional: factor(reader, &fields, "regional"),
    };
    let date = fields.require(reader, "date", "since when the price holds, such as 2025-03-31");
    let date = date.and_then(|at| day(reader, &at));
    let source = fields.require(reader, "source", "where the price is from, such as a web address");
    let source = source.and_then(|at| reader.text(&at));
    Some(Price {
        provider,
        model: model?,
        rates: rates?,
        above,
        factors,
        date: date?,
        source: source?,
        origin,
    })
}

/// Rates of a price, or of its requests with a long prompt.
fn rates(reader: &mut Reader, fields: &Object<'_>) -> Option<TokenRates> {
    let input = amount(reader, fields, "input");
    let output = amount(reader, fields, "output");
    let mut or = |name, otherwise| match fields.get(name) {
        Some(at) => dollars(reader, &at),
        None => otherwise,
    };
    let cached_input = or("cached_input", input);
    let cache_write = or("cache_write", input);
    let cache_write_long = or("cache_write_long", cache_write);
    Some(TokenRates {
        input: input?,
        cached_input: cached_input?,
        cache_write: cache_write?,
        cache_write_long: cache_write_long?,
        output: output?,
    })
}

fn long_prompt(reader: &mut Reader, at: &At<'_>) -> Option<LongPromptRates> {
    let fields = reader.object(at, ABOVE_FIELDS)?;
    let hint = "the rates hold for prompts of more tokens than that, such as 200000";
    let above = fields.require(reader, "tokens", hint);
    let above = above.and_then(|at| reader.whole(&at, 1..=errand_model::accounting::MAX_TOKENS));
    let rates = rates(reader, &fields);
    Some(LongPromptRates { above: above?, rates: rates? })
}

/// A factor, in millionths.
fn factor(reader: &mut Reader, fields: &Object<'_>, name: &str) -> Option<u64> {
    let at = fields.get(name)?;
    let factor = dollars(reader, &at)?;
    if factor > MAX_FACTOR {
        reader.report_hint(&at, "the factor is more than 10", "write 0.5 for half of the price");
        return None;
    }
    Some(factor)
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
    use errand_model::price::ServiceTerms;

    use super::*;

    #[test]
    fn the_shipped_table_can_be_read_and_says_where_each_price_is_from() {
        let table = shipped().unwrap();
        assert!(table.prices().iter().all(|price| price.source.starts_with("https://")));
        let at = Timestamp::from_millis(1_800_000_000_000);
        let cost = |provider, model, input, output| {
            let price = table.price_of(Some(provider), model, at)?;
            let tokens = Tokens { input, output, ..Tokens::default() };
            price.cost(tokens, ServiceTerms::default())
        };
        assert_eq!(cost("openai", "gpt-4o-mini", 120, 30), Some(36));
        assert_eq!(cost("openai", "gpt-4o-mini-2024-07-18", 120, 30), Some(36));
        assert_eq!(cost("openai", "gpt-4o", 1_000, 1_000), Some(12_500));
        assert_eq!(cost("openai", "gpt-4o-realtime-preview", 1, 1), None);
        assert_eq!(cost("anthropic", "claude-sonnet-4-5", 1_000, 1_000), Some(18_000));
        assert_eq!(cost("anthropic", "claude-sonnet-4-5-20250929", 1_000, 0), Some(3_000));
        assert_eq!(cost("openai", "claude-sonnet-4-5", 1, 1), None);
        assert_eq!(cost("acme", "house-model", 1, 1), None);
        assert_eq!(cost("anthropic", "claude-opus-5-5", 1_000, 1_000), Some(24_000));
        assert_eq!(cost("anthropic", "claude-haiku-5-5", 100_000, 0), Some(10_000));
        assert_eq!(cost("anthropic", "claude-haiku-5-5", 100_001, 0), Some(50_001));
        assert_eq!(cost("openai", "gpt-6.1-terra", 272_001, 1_000), Some(544_002 + 7_500));
        assert_eq!(cost("openai", "gpt-6.1-sol-2026-09-29", 1_000, 0), Some(2_000));
        assert_eq!(cost("google", "gemini-3.1-pro-preview", 200_001, 0), Some(800_004));
        assert!(table.as_of().is_some());
    }

    #[test]
    fn each_model_of_the_shipped_table_is_cheaper_from_a_cache_and_dearer_into_it() {
        for price in shipped().unwrap().prices() {
            let all = price.above.iter().map(|long| long.rates).chain([price.rates]);
            for rates in all {
                assert!(rates.cached_input <= rates.input, "{price:?}");
                assert!(rates.cache_write >= rates.input, "{price:?}");
                assert!(rates.cache_write_long >= rates.cache_write, "{price:?}");
            }
        }
    }

    #[test]
    fn tiers_and_factors_are_read() {
        let text = "schema: 1\nas_of: 2026-11-22\nprices:\n- { model: m, input: 2, output: 10, \
                    cached_input: 0.1, cache_write: 2.5, cache_write_long: 5, batch: 0.5, fast: 2, \
                    above: [{ tokens: 1000, input: 4, output: 15 }], date: 2026-01-01, source: s }\n";
        let prices = parse("prices.yaml", text.as_bytes()).unwrap();
        let [price] = prices.as_slice() else { panic!("{prices:?}") };
        let rates = (price.rates.cache_write, price.rates.cache_write_long);
        assert_eq!(rates, (2_500_000, 5_000_000));
        assert_eq!((price.factors.batch, price.factors.flex), (Some(500_000), None));
        let [long] = price.above.as_slice() else { panic!("{price:?}") };
        assert_eq!((long.above, long.rates.cache_write_long), (1_000, 4_000_000));
        for (part, complaint) in [
            ("fast: 2", "fast: the factor is more than 10"),
            ("tokens: 1000", "above[0].tokens: expected a whole number"),
            ("input: 4", "above[0].input"),
        ] {
            let changed = text.replace(part, &format!("{}-{}", &part[..part.len() - 1], 1));
            let changed = changed.replace("fast: -1", "fast: 20");
            assert!(complaints(&changed).contains(complaint), "{}", complaints(&changed));
        }
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
        let rates = price.rates;
        assert_eq!((rates.input, rates.cached_input, rates.output), (1, 0, 3_000_000));
        assert_eq!((rates.cache_write, rates.cache_write_long), (1, 1));
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
  hint: known here: provider, model, input, cached_input, cache_write, cache_write_long, output, \
above, batch, flex, fast, regional, date, source
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
