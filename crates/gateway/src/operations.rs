//! Operations that handlers call: those of the engine, on the namespace of the caller.

use errand_engine::operations::{LocalOperations, Operations};

use crate::Gateway;
use crate::auth::Caller;
use crate::refusal::Refusal;

impl Gateway {
    /// Returns the operations of a caller: on its namespace.
    pub(crate) fn operations(&self, caller: &Caller) -> impl Operations<Refusal> + use<> {
        self.local_operations(caller)
    }

    /// Returns the operations of a caller with those that only the registry's own process has, such
    /// as telling whether a definition is new.
    pub(crate) fn local_operations(&self, caller: &Caller) -> LocalOperations {
        let namespace = caller.namespace.clone();
        LocalOperations::of_namespace(self.engine().clone(), namespace).acting_as(caller.actor())
    }
}
