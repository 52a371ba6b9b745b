//! Terms of service that change what a call costs.

use serde::{Deserialize, Serialize};

/// Class of service of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// The usual one.
    #[default]
    Standard,
    /// Asynchronous batches.
    Batch,
    /// Cheaper and slower.
    Flex,
    /// Dearer and faster: `priority`, `fast`.
    Fast,
}

impl ServiceTier {
    /// Returns the class for a word of errand or of a provider; `None`: not known.
    pub fn of(word: &str) -> Option<Self> {
        const WORDS: [(&str, ServiceTier); 11] = [
            ("standard", ServiceTier::Standard),
            ("default", ServiceTier::Standard),
            ("auto", ServiceTier::Standard),
            ("standard_only", ServiceTier::Standard),
            ("on_demand", ServiceTier::Standard),
            ("batch", ServiceTier::Batch),
            ("flex", ServiceTier::Flex),
            ("on_demand_flex", ServiceTier::Flex),
            ("priority", ServiceTier::Fast),
            ("fast", ServiceTier::Fast),
            ("on_demand_priority", ServiceTier::Fast),
        ];
        let found = WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        found.map(|(_, tier)| *tier)
    }
}

/// Terms under which a call was served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceTerms {
    /// Class of service.
    pub tier: ServiceTier,
    /// The call was bound to a region, for which providers charge more.
    pub is_regional: bool,
}

/// Factors of a price in millionths: 500000 is half of it. `None`: the price does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PriceFactors {
    /// Factor of batches.
    #[serde(rename = "batch_millionths", skip_serializing_if = "Option::is_none")]
    pub batch: Option<u64>,
    /// Factor of the flexible class.
    #[serde(rename = "flex_millionths", skip_serializing_if = "Option::is_none")]
    pub flex: Option<u64>,
    /// Factor of the fast class.
    #[serde(rename = "fast_millionths", skip_serializing_if = "Option::is_none")]
    pub fast: Option<u64>,
    /// Factor of calls that are bound to a region, on top of the others.
    #[serde(rename = "regional_millionths", skip_serializing_if = "Option::is_none")]
    pub regional: Option<u64>,
}

/// A factor of 1.
pub(super) const ONE: u64 = 1_000_000;

impl PriceFactors {
    /// Returns the factors for the class and for the region; `None`: not known.
    ///
    /// A class that can only be cheaper than the usual one costs as much where the price does not
    /// say. A dearer one is not guessed.
    pub(super) fn of(&self, terms: ServiceTerms) -> Option<(u64, u64)> {
        let tier = match terms.tier {
            ServiceTier::Standard => ONE,
            ServiceTier::Batch => self.batch.unwrap_or(ONE),
            ServiceTier::Flex => self.flex.unwrap_or(ONE),
            ServiceTier::Fast => self.fast?,
        };
        let regional = if terms.is_regional { self.regional? } else { ONE };
        Some((tier, regional))
    }
}
