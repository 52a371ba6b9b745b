//! Difference between two inventories.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{digest_of, reference_of};

/// The difference between two inventories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// Only in the second, by reference.
    pub added: Vec<Item>,
    /// Only in the first, by reference.
    pub removed: Vec<Item>,
    /// In both, and not the same; by reference.
    pub changed: Vec<BomChange>,
}

impl Diff {
    /// Returns true if both are the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// A component or service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Item {
    /// Its `bom-ref`: the kind, a colon, the name.
    pub reference: String,
    /// The digest of its content, or (where it has none) of its entry.
    pub digest: String,
}

/// A component or service that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BomChange {
    /// Its `bom-ref`.
    pub reference: String,
    /// The digest of its content in the first.
    pub from: String,
    /// The digest of its content in the second.
    pub to: String,
    /// Further differences, by name.
    pub fields: Vec<FieldChange>,
}

/// A field or property that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Its name; that of a property without `errand:`.
    pub name: String,
    /// In the first; `null`: not set.
    pub from: Option<String>,
    /// In the second; `null`: not set.
    pub to: Option<String>,
}

/// Compares two documents, component by component.
pub fn diff(from: &Value, to: &Value) -> Diff {
    let (before, after) = (items(from), items(to));
    let references: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
    let mut diff = Diff::default();
    for reference in references {
        match (before.get(reference), after.get(reference)) {
            (Some(old), None) => diff.removed.push(item(reference, old)),
            (None, Some(new)) => diff.added.push(item(reference, new)),
            (Some(old), Some(new)) if !is_same(old, new) => diff.changed.push(BomChange {
                reference: reference.to_owned(),
                from: digest(old),
                to: digest(new),
                fields: changed_fields(old, new),
            }),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    diff
}

/// The agent, the tools that made the inventory, components and services by reference.
fn items(document: &Value) -> BTreeMap<&str, &Value> {
    let metadata = document.get("metadata");
    let lists = [
        metadata.and_then(|it| it.pointer("/tools/components")),
        document.get("components"),
        document.get("services"),
    ];
    let listed = lists.into_iter().flatten().filter_map(Value::as_array).flatten();
    let agent = metadata.and_then(|it| it.get("component"));
    agent.into_iter().chain(listed).map(|item| (reference_of(item), item)).collect()
}

/// Returns true if two items with one reference are the same. An image that only one of two inventories has
/// resolved, such as that of a folder, is compared by its name.
fn is_same(old: &Value, new: &Value) -> bool {
    let is_image = |item: &Value| item.get("type").is_some_and(|it| it == "container");
    let is_resolved = |item: &Value| item.get("version").is_some();
    old == new || (is_image(old) && is_image(new) && is_resolved(old) != is_resolved(new))
}

fn item(reference: &str, value: &Value) -> Item {
    Item { reference: reference.to_owned(), digest: digest(value) }
}

fn digest(item: &Value) -> String {
    let content = item.pointer("/hashes/0/content").and_then(Value::as_str);
    content.map_or_else(|| digest_of(item).to_string(), |hex| format!("sha256:{hex}"))
}

fn changed_fields(old: &Value, new: &Value) -> Vec<FieldChange> {
    let (before, after) = (fields(old), fields(new));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    changed
        .map(|name| FieldChange {
            name: name.clone(),
            from: before.get(name).cloned(),
            to: after.get(name).cloned(),
        })
        .collect()
}

/// Everything of an item but its digest, by name. Values of a property that comes again are listed.
fn fields(item: &Value) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::<String, String>::new();
    let Value::Object(members) = item else { return fields };
    for (name, value) in members {
        match (name.as_str(), value) {
            ("hashes" | "bom-ref" | "properties" | "data", _) => {}
            (_, Value::String(text)) => drop(fields.insert(name.clone(), text.clone())),
            (_, value) => drop(fields.insert(name.clone(), value.to_string())),
        }
    }
    for property in members.get("properties").and_then(Value::as_array).into_iter().flatten() {
        let text = |name| property.get(name).and_then(Value::as_str).unwrap_or_default();
        let name = text("name").trim_start_matches("errand:").to_owned();
        fields
            .entry(name)
            .and_modify(|values| {
                values.push_str(", ");
                values.push_str(text("value"));
            })
            .or_insert_with(|| text("value").to_owned());
    }
    fields
}
