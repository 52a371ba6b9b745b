//! Options of an export.

/// Options of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Also export a run that is not over, in its present state. Such an export can be read but not
    /// imported: only the journal of a run that is over stays the same.
    pub live: bool,
    /// Only the run itself: no children of a coordinator.
    pub own: bool,
}
