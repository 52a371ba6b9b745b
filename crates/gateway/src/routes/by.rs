//! Who does something, for the record.

use crate::auth::Caller;

/// Who: the name that the caller gives, beside the key that was used, which cannot be made up.
pub(super) fn by(caller: &Caller, given: Option<&str>) -> String {
    // One line, so that nobody can make it look like two.
    let given = given.map(|name| name.replace(char::is_control, " "));
    match (given.filter(|name| !name.trim().is_empty()), &caller.key_id) {
        (Some(name), Some(_)) => format!("{name} ({})", caller.name()),
        (Some(name), None) => name,
        (None, _) => caller.name(),
    }
}
