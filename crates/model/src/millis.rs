//! Durations as whole milliseconds in JSON: for fields whose names end in `_ms`.

use std::time::Duration;

use serde::{Deserialize as _, Deserializer, Serializer};

/// Writes a duration as milliseconds.
///
/// # Errors
///
/// Errors of the serializer.
pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
}

/// Reads a duration from milliseconds.
///
/// # Errors
///
/// If the value is not a whole number of at least 0.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_millis)
}

/// Durations that may be absent (`null`), in milliseconds.
pub mod optional {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    /// Writes a duration as milliseconds, or `null`.
    ///
    /// # Errors
    ///
    /// Errors of the serializer.
    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        value.map(|v| u64::try_from(v.as_millis()).unwrap_or(u64::MAX)).serialize(to)
    }

    /// Reads a duration from milliseconds or `null`.
    ///
    /// # Errors
    ///
    /// If the value is neither `null` nor a whole number of at least 0.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
    }
}
