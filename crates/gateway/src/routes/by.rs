//! Names of persons for the record.

use crate::auth::Caller;

/// Returns the name that the caller gives, with the key that was used, which cannot be forged.
pub(super) fn by(caller: &Caller, given: Option<&str>) -> String {
    match given.filter(|name| !name.trim().is_empty()) {
        Some(name) => caller.name_beside(name),
        None => caller.name(),
    }
}
