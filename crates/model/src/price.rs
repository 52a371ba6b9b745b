//! Prices of models' tokens by date.
//!
//! Prices are whole millionths of a US dollar for a million tokens; a call's cost is computed
//! exactly and rounded up to a whole millionth, so that no priced call is free. Deliberately
//! absent: the prices themselves, which are data.

mod rates;
mod service;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Timestamp;
use crate::pattern::matches;
use crate::tokens::Tokens;

pub use rates::{LongPromptRates, TokenRates};
pub use service::{PriceFactors, ServiceTerms, ServiceTier};

const MILLISECONDS_A_DAY: i64 = 86_400_000;
/// Prices are per so many tokens.
const PER_TOKENS: u128 = 1_000_000;

/// A day of the calendar, in UTC: days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(i64);

impl Day {
    /// The day that holds `at`.
    pub const fn of(at: Timestamp) -> Self {
        Self(at.as_millis().div_euclid(MILLISECONDS_A_DAY))
    }

    /// The day `number` days after 1970-01-01.
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// Days since 1970-01-01.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// Its first moment.
    pub const fn start(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_mul(MILLISECONDS_A_DAY))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match chrono::DateTime::from_timestamp_millis(self.start().as_millis()) {
            Some(time) => write!(f, "{}", time.format("%Y-%m-%d")),
            None => write!(f, "day {}", self.0),
        }
    }
}

impl FromStr for Day {
    type Err = MalformedDay;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || MalformedDay { text: text.to_owned() };
        let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| malformed())?;
        let day = Self::of(Timestamp::from_millis(
            date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis(),
        ));
        // The parser is lenient; one day has one text.
        if day.to_string() == text { Ok(day) } else { Err(malformed()) }
    }
}

impl TryFrom<String> for Day {
    type Error = MalformedDay;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

/// The text is no day.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not a day such as 2025-03-31")]
pub struct MalformedDay {
    /// Text as given.
    pub text: String,
}

/// Price of a model's tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Price {
    /// Provider of the model; `None`: any provider.
    pub provider: Option<String>,
    /// Its name, in which a `*` stands for any characters.
    pub model: String,
    /// Rates of its tokens.
    #[serde(flatten)]
    pub rates: TokenRates,
    /// Rates of requests with a long prompt, in any order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<LongPromptRates>,
    /// Factors of classes of service and regions.
    #[serde(flatten)]
    pub factors: PriceFactors,
    /// The price holds from this day on, as far as is known.
    pub date: Day,
    /// Source of the price.
    pub source: String,
    /// Table of the price.
    pub origin: Origin,
}

/// Table that a price is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The one that errand ships with.
    Shipped,
    /// Table of the catalog. Its prices win over those that errand ships with.
    Catalog,
    /// The one beside the registry. Its prices win.
    User,
}

impl Price {
    /// Returns the cost of a call in micro-dollars, rounded up; `None`: the price says nothing
    /// about calls under such terms.
    pub fn cost(&self, tokens: Tokens, terms: ServiceTerms) -> Option<u64> {
        let (tier, regional) = self.factors.of(terms)?;
        let sum = self.rates_of(tokens.input).sum(tokens);
        let one = u128::from(service::ONE);
        let scaled = sum.saturating_mul(u128::from(tier)).saturating_mul(u128::from(regional));
        let cost = scaled.div_ceil(PER_TOKENS * one * one);
        Some(u64::try_from(cost).unwrap_or(u64::MAX))
    }

    /// Returns the most that a call under the usual terms can cost, in micro-dollars: with all of
    /// its input written to a cache, and as many output tokens as are given. Without them, each
    /// token may be of either kind.
    pub fn most(&self, tokens: u64, output: Option<u64>) -> u64 {
        let prompt = tokens.saturating_sub(output.unwrap_or(0));
        let rates = self.rates_of(prompt);
        let part = |tokens: u64, rate: u64| u128::from(tokens).saturating_mul(u128::from(rate));
        let sum = match output {
            Some(output) => {
                part(prompt, rates.dearest_input()).saturating_add(part(output, rates.output))
            }
            None => part(tokens, rates.dearest_input().max(rates.output)),
        };
        u64::try_from(sum.div_ceil(PER_TOKENS)).unwrap_or(u64::MAX)
    }

    /// Returns the rates of a request by the length of its prompt.
    pub fn rates_of(&self, prompt_tokens: u64) -> &TokenRates {
        let longer = self.above.iter().filter(|long| prompt_tokens > long.above);
        longer.max_by_key(|long| long.above).map_or(&self.rates, |long| &long.rates)
    }

    fn fits(&self, provider: Option<&str>, model: &str) -> bool {
        let of_provider = match (&self.provider, provider) {
            (Some(ours), Some(theirs)) => ours.eq_ignore_ascii_case(theirs),
            // Who does not say whose model it is means the one that is known by that name.
            (None, _) | (_, None) => true,
        };
        of_provider && matches(&self.model, model)
    }

    /// Of two prices that fit, the greater one is meant: the user's, then a whole name before a
    /// pattern, then the longer pattern, then one for that very provider, then the later one.
    fn rank(&self) -> (Origin, bool, usize, bool, Day) {
        let is_whole = !self.model.contains('*');
        (self.origin, is_whole, self.model.len(), self.provider.is_some(), self.date)
    }
}

/// All prices that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceTable {
    prices: Vec<Price>,
    as_of: Option<Day>,
}

impl PriceTable {
    /// No prices.
    pub const EMPTY: Self = Self { prices: Vec::new(), as_of: None };

    /// A table of these prices.
    pub fn new(prices: Vec<Price>) -> Self {
        Self { prices, as_of: None }
    }

    /// Returns the table with the day that the shipped prices are as of.
    #[must_use]
    pub const fn compared_on(mut self, day: Day) -> Self {
        self.as_of = Some(day);
        self
    }

    /// Day that the shipped prices are as of.
    pub const fn as_of(&self) -> Option<Day> {
        self.as_of
    }

    /// Returns the table with more prices.
    #[must_use]
    pub fn with(mut self, more: impl IntoIterator<Item = Price>) -> Self {
        self.prices.extend(more);
        self
    }

    /// All of them, in the order of their tables.
    pub fn prices(&self) -> &[Price] {
        &self.prices
    }

    /// The price of a model at a moment; `None`: not known.
    pub fn price_of(&self, provider: Option<&str>, model: &str, at: Timestamp) -> Option<&Price> {
        let today = Day::of(at);
        let fits = |price: &&Price| price.date <= today && price.fits(provider, model);
        self.prices.iter().filter(fits).max_by_key(|price| price.rank())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(provider: Option<&str>, model: &str, date: &str, origin: Origin) -> Price {
        Price {
            provider: provider.map(str::to_owned),
            model: model.to_owned(),
            rates: TokenRates {
                input: 2_500_000,
                cached_input: 1_250_000,
                cache_write: 3_000_000,
                cache_write_long: 5_000_000,
                output: 10_000_000,
            },
            above: Vec::new(),
            factors: PriceFactors::default(),
            date: date.parse().unwrap(),
            source: format!("{origin:?} {model} {date}"),
            origin,
        }
    }

    #[test]
    fn a_cost_is_exact_and_rounded_up_once() {
        let price = price(None, "m", "2025-01-01", Origin::Shipped);
        let cost = |input, cached, output, reasoning| {
            let tokens = Tokens { input, output, cached, reasoning, ..Tokens::default() };
            price.cost(tokens, ServiceTerms::default()).unwrap()
        };
        assert_eq!(cost(0, 0, 0, 0), 0);
        assert_eq!(cost(1_000, 0, 0, 0), 2_500);
        assert_eq!(cost(1_000, 1_000, 0, 0), 1_250);
        assert_eq!(cost(1, 0, 0, 0), 3, "2.5 is rounded up");
        assert_eq!(cost(1, 1, 1, 1), 12, "1.25 + 10 is rounded up once");
        assert_eq!(cost(5, 9, 0, 0), 7, "no more is cached than was read");
        assert_eq!(cost(u64::MAX, 0, u64::MAX, 0), u64::MAX, "it saturates");
    }

    #[test]
    fn writes_to_a_cache_cost_by_their_duration() {
        let price = price(None, "m", "2025-01-01", Origin::Shipped);
        let cost = |cached, cache_write, cache_write_long| {
            let tokens = Tokens {
                input: 1_000_000,
                cached,
                cache_write,
                cache_write_long,
                ..Tokens::default()
            };
            price.cost(tokens, ServiceTerms::default()).unwrap()
        };
        assert_eq!(cost(0, 0, 0), 2_500_000);
        assert_eq!(cost(0, 1_000_000, 0), 3_000_000);
        assert_eq!(cost(0, 0, 1_000_000), 5_000_000);
        assert_eq!(cost(400_000, 300_000, 200_000), 500_000 + 900_000 + 1_000_000 + 250_000);
        assert_eq!(cost(900_000, 900_000, 900_000), 1_125_000 + 300_000, "no more than was read");
    }

    #[test]
    fn a_long_prompt_changes_the_rates_of_the_whole_request() {
        let mut price = price(None, "m", "2025-01-01", Origin::Shipped);
        let rates = |factor: u64| TokenRates { input: 2_500_000 * factor, ..TokenRates::default() };
        price.above = vec![
            LongPromptRates { above: 200, rates: rates(4) },
            LongPromptRates { above: 100, rates: rates(2) },
        ];
        let cost = |input| {
            let tokens = Tokens { input, ..Tokens::default() };
            price.cost(tokens, ServiceTerms::default()).unwrap()
        };
        assert_eq!((cost(100), cost(102)), (250, 510));
        assert_eq!((cost(200), cost(202)), (1_000, 2_020));
    }

    #[test]
    fn terms_change_a_cost_and_dearer_ones_are_not_guessed() {
        let mut price = price(None, "m", "2025-01-01", Origin::Shipped);
        let tokens = Tokens { output: 1_000, ..Tokens::default() };
        let cost = |price: &Price, tier, is_regional| {
            price.cost(tokens, ServiceTerms { tier, is_regional })
        };
        assert_eq!(cost(&price, ServiceTier::Batch, false), Some(10_000), "no more than usual");
        assert_eq!(cost(&price, ServiceTier::Fast, false), None);
        assert_eq!(cost(&price, ServiceTier::Standard, true), None);
        price.factors = PriceFactors {
            batch: Some(500_000),
            flex: Some(500_000),
            fast: Some(2_000_000),
            regional: Some(1_100_000),
        };
        assert_eq!(cost(&price, ServiceTier::Flex, false), Some(5_000));
        assert_eq!(cost(&price, ServiceTier::Fast, true), Some(22_000));
        assert_eq!(cost(&price, ServiceTier::Standard, true), Some(11_000));
    }

    #[test]
    fn the_most_that_a_call_costs_covers_any_use_of_a_cache() {
        let price = price(None, "m", "2025-01-01", Origin::Shipped);
        assert_eq!(price.most(1_000, Some(0)), 5_000);
        assert_eq!(price.most(1_000, Some(400)), 3_000 + 4_000);
        assert_eq!(price.most(1_000, None), 10_000);
        assert_eq!(price.most(u64::MAX, None), u64::MAX);
    }

    #[test]
    fn the_price_that_says_most_is_meant() {
        let table = PriceTable::new(vec![
            price(Some("openai"), "gpt-4o", "2024-08-01", Origin::Shipped),
            price(Some("openai"), "gpt-4o-*", "2024-08-01", Origin::Shipped),
            price(Some("openai"), "gpt-4o-mini*", "2024-08-01", Origin::Shipped),
            price(Some("openai"), "gpt-4o-mini*", "2025-08-01", Origin::Shipped),
            price(None, "*", "2025-01-01", Origin::User),
        ]);
        let shipped = PriceTable::new(table.prices()[..4].to_vec());
        let at = |day: &str| day.parse::<Day>().unwrap().start();
        let find = |table: &PriceTable, provider, model, day: &str| {
            table.price_of(provider, model, at(day)).map(|price| price.source.clone())
        };
        let openai = Some("openai");
        let found = |model, day| find(&shipped, openai, model, day).unwrap_or_default();
        assert_eq!(found("gpt-4o", "2025-01-01"), "Shipped gpt-4o 2024-08-01");
        assert_eq!(found("gpt-4o-2024-11-20", "2025-01-01"), "Shipped gpt-4o-* 2024-08-01");
        assert_eq!(found("gpt-4o-mini", "2025-07-31"), "Shipped gpt-4o-mini* 2024-08-01");
        assert_eq!(found("gpt-4o-mini", "2025-08-01"), "Shipped gpt-4o-mini* 2025-08-01");
        assert_eq!(found("gpt-4o", "2024-07-31"), "", "no price holds yet");
        assert_eq!(found("gpt-4", "2025-01-01"), "");
        assert_eq!(find(&shipped, Some("azure"), "gpt-4o", "2025-01-01"), None);
        assert!(find(&shipped, None, "gpt-4o", "2025-01-01").is_some());
        assert!(find(&shipped, Some("OpenAI"), "gpt-4o", "2025-01-01").is_some());
        let user = find(&table, openai, "gpt-4o", "2025-01-01");
        assert_eq!(user.as_deref(), Some("User * 2025-01-01"), "the user's prices win");
    }

    #[test]
    fn a_day_has_one_text() {
        let day: Day = "2025-03-31".parse().unwrap();
        assert_eq!(day.to_string(), "2025-03-31");
        assert_eq!(Day::of(day.start()), day);
        let late = Timestamp::from_millis(day.start().as_millis() + 86_399_999);
        assert_eq!(Day::of(late), day);
        assert_eq!(Day::of(Timestamp::from_millis(-1)).to_string(), "1969-12-31");
        for text in ["", "2025-3-31", "2025-02-30", "31.3.2025", "2025-03-31T00:00:00Z"] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }
}
