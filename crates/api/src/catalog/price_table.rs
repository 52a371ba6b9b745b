//! Price tables: prices of models that a company pays, or of models that errand does not know.

use errand_model::catalog::CatalogKind;
use errand_model::price::{Origin, Price};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::definition::Definition;
use super::scalar::PriceEntry;
use crate::agent_file::at::At;
use crate::agent_file::reader::Reader;
use crate::price_table;

/// Prices of models. They win over those that errand ships with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PriceTable")]
pub struct PriceTableDefinition {
    /// Prices, each as in the file `.errand/prices.yaml`.
    #[schemars(with = "Vec<PriceEntry>", length(min = 1))]
    pub prices: Vec<Value>,
}

impl PriceTableDefinition {
    /// Returns the prices. Their form was checked when the manifest was read.
    pub fn read(&self) -> Vec<Price> {
        self.prices
            .iter()
            .filter_map(|price| price_table::of_json(price, Origin::Catalog))
            .collect()
    }
}

impl Definition for PriceTableDefinition {
    const KIND: CatalogKind = CatalogKind::PriceTable;

    fn check(&self, reader: &mut Reader, spec: &At<'_>) {
        if let Some(at) = spec.field("prices") {
            price_table::report_twins(reader, &at, &self.read());
        }
    }
}
