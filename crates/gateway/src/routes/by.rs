//! Who does something, for the record.

use crate::auth::Caller;

/// Who: the name that the caller gives, beside the key that was used, which cannot be made up.
pub(super) fn by(caller: &Caller, given: Option<&str>) -> String {
    match given.filter(|name| !name.trim().is_empty()) {
        Some(name) => caller.name_beside(name),
        None => caller.name(),
    }
}
