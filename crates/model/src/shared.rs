//! Values that copies of a run share, in JSON as if each copy had its own.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes the value itself.
///
/// # Errors
///
/// Errors of the serializer.
pub(crate) fn serialize<T: Serialize, S: Serializer>(
    value: &Arc<T>,
    to: S,
) -> Result<S::Ok, S::Error> {
    T::serialize(value, to)
}

/// Reads a value that nothing shares yet.
///
/// # Errors
///
/// Errors of the value.
pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Arc<T>, D::Error> {
    T::deserialize(from).map(Arc::new)
}
