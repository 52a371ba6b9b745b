//! Model calls whose bodies are kept in the record.

use errand_model::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::at::{At, describe};
use super::quantity::decimal;
use super::reader::Reader;
use super::yaml::Kind;

/// A share of one in millionths.
const WHOLE: u32 = 1_000_000;

/// Model calls of which the bodies are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// All.
    #[default]
    Full,
    /// None.
    None,
    /// The requests of those that failed.
    Errors,
    /// So many of a million.
    PerMillion(u32),
}

impl Sampling {
    /// Returns true if the bodies of the call with that key are kept, whatever becomes of it. The same
    /// call is always decided alike.
    pub fn keeps(self, key: &str) -> bool {
        match self {
            Self::Full => true,
            Self::None | Self::Errors => false,
            Self::PerMillion(share) => {
                let digest = Digest::of(key.as_bytes());
                let begin = digest.hex().get(..8).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                u64::from(begin.unwrap_or(0)) * u64::from(WHOLE) < u64::from(share) << 32
            }
        }
    }

    /// Returns true if the request of a failed call is kept.
    pub fn keeps_failed(self) -> bool {
        match self {
            Self::Full | Self::Errors => true,
            Self::None | Self::PerMillion(_) => false,
        }
    }
}

impl From<Sampling> for Value {
    fn from(sampling: Sampling) -> Self {
        match sampling {
            Sampling::Full => "full".into(),
            Sampling::None => "none".into(),
            Sampling::Errors => "errors".into(),
            Sampling::PerMillion(share) => json!({ "per_million": share }),
        }
    }
}

/// Reads `full`, `none`, `errors`, or a share from 0 to 1.
pub(super) fn sampling(reader: &mut Reader, at: &At<'_>) -> Option<Sampling> {
    let read = match &at.node.kind {
        Kind::Text { text } => match text.as_str() {
            "full" => Some(Sampling::Full),
            "none" => Some(Sampling::None),
            "errors" => Some(Sampling::Errors),
            _ => None,
        },
        Kind::Number { text } => {
            let share = decimal(text, 6).and_then(|share| u32::try_from(share).ok());
            share.filter(|share| *share <= WHOLE).map(|share| match share {
                0 => Sampling::None,
                WHOLE => Sampling::Full,
                share => Sampling::PerMillion(share),
            })
        }
        Kind::Null | Kind::Bool { .. } | Kind::List(_) | Kind::Map(_) => None,
    };
    if read.is_none() {
        let message = format!("{} is no share of the calls", describe(&at.node.kind));
        let hint = "write full, none, errors, or a share from 0 to 1 with at most six decimals, such as 0.1";
        reader.report_hint(at, message, hint);
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_calls_is_kept_and_each_is_decided_alike() {
        let kept = |sampling: Sampling| {
            (0..2_000).filter(|n| sampling.keeps(&format!("openai_chat/ab/{n}"))).count()
        };
        assert_eq!(kept(Sampling::Full), 2_000);
        assert_eq!(kept(Sampling::None) + kept(Sampling::Errors), 0);
        let tenth = kept(Sampling::PerMillion(100_000));
        assert!((100..300).contains(&tenth), "{tenth}");
        assert_eq!(tenth, kept(Sampling::PerMillion(100_000)));
        assert_eq!(kept(Sampling::PerMillion(999_999)), 2_000);
    }
}
