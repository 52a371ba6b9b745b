//! Brief: the immutable document that an agent gets at boot, as a run names it.

use serde::{Deserialize, Serialize};

use crate::{Blob, Digest, RunId};

/// Brief that was assembled when the run was admitted, and the parts of it that the caller chose by
/// name. Texts of the caller are in the document alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunBrief {
    /// The document as canonical JSON.
    pub blob: Blob,
    /// True if the instructions in it are the caller's; else they are the agent's description.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_instructed: bool,
    /// Skills besides those of the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// Configs besides those of the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<String>,
}

/// Returns the key of a brief: `briefs/<run>/<sha-256 of the document>.json`.
pub fn brief_key(run_id: &RunId, digest: &Digest) -> String {
    format!("briefs/{run_id}/{}.json", digest.hex())
}

/// Returns the digest that the key of a brief ends with; `None` if the text is no such key.
pub fn digest_of_brief_key(key: &str) -> Option<Digest> {
    let (_, name) = key.strip_prefix("briefs/")?.split_once('/')?;
    format!("sha256:{}", name.strip_suffix(".json")?).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn the_key_of_a_brief_has_its_digest() {
        let digest = Digest::of(b"{}");
        let key = brief_key(&RunId::new(Timestamp::from_millis(1), 1), &digest);
        assert_eq!(digest_of_brief_key(&key), Some(digest));
        for other in ["", "briefs/x.json", "briefs/run/abc.json", "sha256:00"] {
            assert_eq!(digest_of_brief_key(other), None, "{other}");
        }
    }
}
