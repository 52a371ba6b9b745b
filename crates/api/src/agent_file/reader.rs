//! Typed access to the tree: every mismatch becomes a problem, and reading goes on.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use errand_model::{MalformedDuration, parse_duration};
use serde_json::Value;

use super::at::{At, describe, join};
use super::known::FileReference;
use super::problem::{AgentFileProblem, ProblemKind};
use super::suggest::closest;
use super::yaml::{Entry, Kind, YamlPosition};

/// A mapping whose field names were checked.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    path: String,
    place: YamlPosition,
    entries: &'a [Entry],
}

impl<'a> Object<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<At<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        Some(At { node: &entry.value, path: join(&self.path, name) })
    }

    /// The field `name`; that it is missing is a problem.
    pub(crate) fn require(&self, reader: &mut Reader, name: &str, hint: &str) -> Option<At<'a>> {
        let field = self.get(name);
        if field.is_none() {
            reader.report_at(
                self.place,
                &self.path,
                format!("{name:?} is missing"),
                Some(hint.to_owned()),
            );
        }
        field
    }
}

/// Longest duration that any field takes: a year is not a typing error yet.
pub(crate) const MAX_DURATION_MS: u64 = 366 * 24 * 60 * 60 * 1_000;

/// Lists of more items are refused: that each item stands once is checked by comparing all.
const MAX_ITEMS: usize = 10_000;
/// After so many problems no more are looked for.
const MAX_PROBLEMS: usize = 1_000;

/// Collects problems while values are read.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) problems: Vec<AgentFileProblem>,
    /// References in the order in which they were read.
    pub(crate) references: Vec<PlacedReference>,
    /// Names of the agents or nodes of the coordinator that is read, in their order.
    pub(crate) members: Vec<String>,
}

/// A reference and where it stands.
#[derive(Debug)]
pub(crate) struct PlacedReference {
    pub(crate) reference: FileReference,
    pub(crate) place: YamlPosition,
    pub(crate) path: String,
}

impl Reader {
    pub(crate) fn report(&mut self, at: &At<'_>, message: impl Into<String>) {
        self.report_at(at.node.place, &at.path, message, None);
    }

    pub(crate) fn report_hint(
        &mut self,
        at: &At<'_>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.report_at(at.node.place, &at.path, message, Some(hint.into()));
    }

    /// Reports what is well written and cannot be honoured.
    pub(crate) fn report_unsupported(
        &mut self,
        at: &At<'_>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let before = self.problems.len();
        self.report_hint(at, message, hint);
        for problem in &mut self.problems[before..] {
            problem.kind = ProblemKind::Unsupported;
        }
    }

    pub(crate) fn report_at(
        &mut self,
        place: YamlPosition,
        path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        if self.is_full() {
            return;
        }
        self.problems.push(AgentFileProblem {
            path: path.to_owned(),
            line: place.line,
            column: place.column,
            message: message.into(),
            hint,
            kind: ProblemKind::Invalid,
            excerpt: None,
        });
    }

    /// Remembers where the file refers to something.
    pub(crate) fn refers_to(&mut self, at: &At<'_>, reference: FileReference) {
        self.refers_to_at(at.node.place, &at.path, reference);
    }

    pub(crate) fn refers_to_at(
        &mut self,
        place: YamlPosition,
        path: &str,
        reference: FileReference,
    ) {
        self.references.push(PlacedReference { reference, place, path: path.to_owned() });
    }

    fn is_full(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS
    }

    fn mismatch(&mut self, at: &At<'_>, expected: &str) {
        self.report(at, format!("expected {expected}, found {}", describe(&at.node.kind)));
    }

    /// A mapping with none but the `known` fields.
    pub(crate) fn object<'a>(&mut self, at: &At<'a>, known: &[&str]) -> Option<Object<'a>> {
        let entries = self.entries(at)?;
        self.report_unknown(at, entries, known);
        Some(Object { path: at.path.clone(), place: at.node.place, entries })
    }

    /// Reports entries of a mapping that are not `known`.
    pub(crate) fn report_unknown(&mut self, at: &At<'_>, entries: &[Entry], known: &[&str]) {
        for entry in entries {
            if !known.contains(&entry.key.as_str()) && !self.is_full() {
                let hint = unknown_hint(&entry.key, known);
                let path = join(&at.path, &entry.key);
                let message = format!("unknown field {:?}", entry.key);
                self.report_at(entry.key_place, &path, message, Some(hint));
            }
        }
    }

    /// The entries of a mapping whose keys are free.
    pub(crate) fn entries<'a>(&mut self, at: &At<'a>) -> Option<&'a [Entry]> {
        if let Kind::Map(entries) = &at.node.kind {
            return Some(entries);
        }
        self.mismatch(at, "a mapping");
        None
    }

    /// The items of a list; none if that is a problem.
    pub(crate) fn list<'a>(&mut self, at: &At<'a>) -> Vec<At<'a>> {
        self.checked_list(at).unwrap_or_default()
    }

    /// The items of a list.
    pub(crate) fn checked_list<'a>(&mut self, at: &At<'a>) -> Option<Vec<At<'a>>> {
        let Kind::List(items) = &at.node.kind else {
            self.mismatch(at, "a list");
            return None;
        };
        if items.len() > MAX_ITEMS {
            self.report(at, format!("the list has more than {MAX_ITEMS} items"));
            return None;
        }
        Some(at.items())
    }

    /// Text that is not empty.
    pub(crate) fn text(&mut self, at: &At<'_>) -> Option<String> {
        match &at.node.kind {
            Kind::Text { text } => self.checked_text(at, text),
            Kind::Bool { text, .. } | Kind::Number { text } => {
                let found = describe(&at.node.kind);
                self.report_hint(
                    at,
                    format!("expected text, found {found}"),
                    format!("put it in quotes: \"{text}\""),
                );
                None
            }
            Kind::Null | Kind::List(_) | Kind::Map(_) => {
                self.mismatch(at, "text");
                None
            }
        }
    }

    /// Text for which `is_good` holds. `complaint` follows the text in the problem if it does not.
    pub(crate) fn text_that(
        &mut self,
        at: &At<'_>,
        is_good: fn(&str) -> bool,
        complaint: &str,
        hint: &str,
    ) -> Option<String> {
        let text = self.text(at)?;
        if is_good(&text) {
            return Some(text);
        }
        self.report_hint(at, format!("{text:?} {complaint}"), hint);
        None
    }

    /// Text, or a number or truth value taken as it is written; may be empty.
    pub(crate) fn word(&mut self, at: &At<'_>) -> Option<String> {
        match &at.node.kind {
            Kind::Text { text } | Kind::Bool { text, .. } | Kind::Number { text } => {
                if text.contains('\0') {
                    self.report(at, "the text holds a NUL character");
                    return None;
                }
                Some(text.clone())
            }
            Kind::Null | Kind::List(_) | Kind::Map(_) => {
                self.mismatch(at, "text");
                None
            }
        }
    }

    fn checked_text(&mut self, at: &At<'_>, text: &str) -> Option<String> {
        if text.contains('\0') {
            self.report(at, "the text holds a NUL character");
        } else if text.trim().is_empty() {
            self.report(at, "the text is empty");
        } else {
            return Some(text.to_owned());
        }
        None
    }

    /// A list of texts, each at most once.
    pub(crate) fn texts(&mut self, at: &At<'_>) -> Vec<String> {
        let mut texts = Vec::new();
        for item in self.list(at) {
            if let Some(text) = self.text(&item) {
                if texts.contains(&text) {
                    self.report(&item, format!("{text:?} is listed twice"));
                } else {
                    texts.push(text);
                }
            }
        }
        texts
    }

    /// A whole number within `range`.
    pub(crate) fn whole(&mut self, at: &At<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        let Kind::Number { text } = &at.node.kind else {
            self.mismatch(at, "a whole number");
            return None;
        };
        let number = whole_number(text);
        match number.and_then(|number| u64::try_from(number).ok()) {
            Some(number) if range.contains(&number) => Some(number),
            Some(_) | None => {
                let (low, high) = (range.start(), range.end());
                let range = if *high == u64::MAX {
                    format!("of {low} or more")
                } else {
                    format!("from {low} to {high}")
                };
                self.report(at, format!("expected a whole number {range}, found {text}"));
                None
            }
        }
    }

    /// A whole number within `range` that fits 32 bits.
    pub(crate) fn whole32(&mut self, at: &At<'_>, range: RangeInclusive<u32>) -> Option<u32> {
        let wide = u64::from(*range.start())..=u64::from(*range.end());
        self.whole(at, wide).and_then(|number| u32::try_from(number).ok())
    }

    /// A duration above zero, in milliseconds.
    pub(crate) fn duration_ms(&mut self, at: &At<'_>) -> Option<u64> {
        let millis = self.delay_ms(at)?;
        if millis == 0 {
            self.report_hint(at, "the duration is zero", "leave it out for no limit");
            return None;
        }
        Some(millis)
    }

    /// A duration that may be zero, in milliseconds.
    pub(crate) fn delay_ms(&mut self, at: &At<'_>) -> Option<u64> {
        match &at.node.kind {
            Kind::Text { text } => match parse_duration(text) {
                Ok(length) => match u64::try_from(length.as_millis()) {
                    Ok(millis) if millis <= MAX_DURATION_MS => Some(millis),
                    Ok(_) | Err(_) => {
                        self.report(at, format!("{text} is longer than 366 days"));
                        None
                    }
                },
                Err(error) => {
                    self.report_hint(at, error.to_string(), MalformedDuration::HINT);
                    None
                }
            },
            Kind::Number { text } => {
                self.report_hint(
                    at,
                    format!("the duration {text} has no unit"),
                    format!(
                        "write {text}s for seconds, {text}ms for milliseconds, {text}m for minutes"
                    ),
                );
                None
            }
            Kind::Null | Kind::Bool { .. } | Kind::List(_) | Kind::Map(_) => {
                self.mismatch(at, "a duration such as 10m");
                None
            }
        }
    }

    /// Reads one of the named values.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        at: &At<'_>,
        what: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let names = || choices.iter().map(|(name, _)| *name);
        let allowed = || names().collect::<Vec<_>>().join(", ");
        let Kind::Text { text } = &at.node.kind else {
            let found = describe(&at.node.kind);
            self.report_hint(
                at,
                format!("expected {what}, found {found}"),
                format!("one of: {}", allowed()),
            );
            return None;
        };
        let found = choices.iter().find(|(name, _)| name == text);
        if found.is_none() {
            let hint = match closest(text, names()) {
                Some(meant) => format!("did you mean {meant:?}? One of: {}", allowed()),
                None => format!("one of: {}", allowed()),
            };
            self.report_hint(at, format!("{text:?} is not {what}"), hint);
        }
        found.map(|(_, value)| *value)
    }

    /// Any value, as JSON.
    pub(crate) fn json(&mut self, at: &At<'_>) -> Option<Value> {
        Some(match &at.node.kind {
            Kind::Null => Value::Null,
            Kind::Bool { value, .. } => Value::Bool(*value),
            Kind::Text { text } => Value::String(text.clone()),
            Kind::Number { text } => match json_number(text) {
                Some(number) => Value::Number(number),
                None => {
                    self.report(at, format!("{text} is no number in JSON"));
                    return None;
                }
            },
            Kind::List(items) => {
                let at_item = |(index, node)| At { node, path: format!("{}[{index}]", at.path) };
                let items = items.iter().enumerate().map(at_item);
                Value::Array(items.map(|item| self.json(&item)).collect::<Option<_>>()?)
            }
            Kind::Map(entries) => {
                let mut fields = serde_json::Map::new();
                for entry in entries {
                    let field = At { node: &entry.value, path: join(&at.path, &entry.key) };
                    fields.insert(entry.key.clone(), self.json(&field)?);
                }
                Value::Object(fields)
            }
        })
    }

    /// Free keys with words as values, such as labels and environments.
    pub(crate) fn words_by_key(
        &mut self,
        at: &At<'_>,
        mut check_key: impl FnMut(&str) -> Result<(), String>,
        null_hint: &str,
    ) -> BTreeMap<String, String> {
        let mut words = BTreeMap::new();
        for entry in self.entries(at).unwrap_or_default() {
            let field = At { node: &entry.value, path: join(&at.path, &entry.key) };
            if let Err(message) = check_key(&entry.key) {
                self.report_at(entry.key_place, &field.path, message, None);
            } else if matches!(entry.value.kind, Kind::Null) {
                self.report_hint(&field, "it has no value", null_hint);
            } else if let Some(word) = self.word(&field) {
                words.insert(entry.key.clone(), word);
            }
        }
        words
    }
}

fn unknown_hint(given: &str, known: &[&str]) -> String {
    if given == "<<" {
        return "merge keys are not part of YAML 1.2: write the fields out".to_owned();
    }
    match closest(given, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

fn whole_number(text: &str) -> Option<i128> {
    if let Some(digits) = text.strip_prefix("0x") {
        return i128::from_str_radix(digits, 16).ok();
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return i128::from_str_radix(digits, 8).ok();
    }
    text.parse().ok()
}

fn json_number(text: &str) -> Option<serde_json::Number> {
    match whole_number(text) {
        Some(whole) => u64::try_from(whole)
            .map(serde_json::Number::from)
            .or_else(|_| i64::try_from(whole).map(serde_json::Number::from))
            .ok(),
        None => text.parse().ok().and_then(serde_json::Number::from_f64),
    }
}
