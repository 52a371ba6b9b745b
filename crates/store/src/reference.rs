//! References of an event's data to blobs and parcels, read in one pass: every commit looks for
//! them.

use std::fmt;

use errand_model::Digest;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Digests of blobs and parcels in the data of an event.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// Blobs of payloads, artifacts and inventories.
    pub(crate) blobs: Vec<Digest>,
    /// Parcels of agents: of the run's own, of those of its plan, and of those of its handoffs.
    pub(crate) parcels: Vec<Digest>,
}

impl References {
    /// Returns the references of an event of that kind; none if the data cannot be read.
    pub(crate) fn of(kind: &str, data: &str) -> Self {
        if !data.contains("\"sha256:") {
            return Self::default();
        }
        let mut found = Self::default();
        let mut data = serde_json::Deserializer::from_str(data);
        let walk = ReferenceWalk { found: &mut found, is_digest: false };
        let Ok(root) = walk.deserialize(&mut data).and_then(|root| data.end().map(|()| root))
        else {
            return Self::default();
        };
        if matches!(kind, "artifact.created" | "bom.pinned") {
            found.blobs = root.member.into_iter().collect();
        }
        found
    }
}

/// Reader of one JSON value.
///
/// A blob is the member `blob` or `$blob` of any object, an agent is an object with a name, a
/// version and a digest. The contents of payloads (`{"json": …}`) are an agent's own data and name
/// nothing.
struct ReferenceWalk<'a> {
    found: &'a mut References,
    /// True for the value of a member `digest`.
    is_digest: bool,
}

/// Properties of a value that was read.
#[derive(Debug, Default)]
struct ReadValue {
    /// The digest that the value is.
    own: Option<Digest>,
    /// The digest that is the member `digest` of the value.
    member: Option<Digest>,
    /// True for an object with the members of a blob.
    is_blob: bool,
}

/// Names of members that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum MemberName {
    #[serde(alias = "$blob")]
    Blob,
    Digest,
    Encoding,
    Json,
    Name,
    SizeBytes,
    Version,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for ReferenceWalk<'_> {
    type Value = ReadValue;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<ReadValue, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReferenceWalk<'_> {
    type Value = ReadValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<ReadValue, A::Error> {
        let Self { found, .. } = self;
        let (blobs, parcels) = (found.blobs.len(), found.parcels.len());
        let mut names = Vec::with_capacity(8);
        let mut digest = None;
        while let Some(name) = members.next_key::<MemberName>()? {
            let blobs_before = found.blobs.len();
            let is_digest = name == MemberName::Digest;
            let walk = ReferenceWalk { found: &mut *found, is_digest };
            let member = members.next_value_seed(walk)?;
            if is_digest {
                digest = member.own;
            } else if name == MemberName::Blob && member.is_blob {
                found.blobs.truncate(blobs_before);
                found.blobs.extend(member.member);
            }
            names.push(name);
        }
        if names == [MemberName::Json] {
            found.blobs.truncate(blobs);
            found.parcels.truncate(parcels);
        }
        let has = |all: [MemberName; 3]| all.iter().all(|name| names.contains(name));
        if has([MemberName::Name, MemberName::Version, MemberName::Digest]) {
            found.parcels.extend(digest.clone());
        }
        let is_blob = has([MemberName::Digest, MemberName::SizeBytes, MemberName::Encoding]);
        Ok(ReadValue { own: None, member: digest, is_blob })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<ReadValue, A::Error> {
        let Self { found, .. } = self;
        loop {
            let walk = ReferenceWalk { found: &mut *found, is_digest: false };
            if items.next_element_seed(walk)?.is_none() {
                return Ok(ReadValue::default());
            }
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ReadValue, E> {
        let own = if self.is_digest { text.parse().ok() } else { None };
        Ok(ReadValue { own, ..ReadValue::default() })
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<ReadValue, E> {
        Ok(ReadValue::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<ReadValue, E> {
        Ok(ReadValue::default())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<ReadValue, E> {
        Ok(ReadValue::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<ReadValue, E> {
        Ok(ReadValue::default())
    }

    fn visit_unit<E: Error>(self) -> Result<ReadValue, E> {
        Ok(ReadValue::default())
    }
}
