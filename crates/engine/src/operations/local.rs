//! Operations on the registry of this process.

use errand_api::audit::Actor;
use errand_model::{scoped, unscoped};
use errand_store::Namespaces;

use crate::error::{IoFailure, PayloadRefused};
use crate::{
    Engine, Error, ask, catalog, evidence, logs, outbox, people, reconcile, replay, sessions,
    values,
};

/// Defines [`LocalError`] as all that the listed errors convert into.
macro_rules! local_error {
    ($($error:ty),+ $(,)?) => {
        /// Error type that a caller of [`LocalOperations`] chooses: anything that the errors of the
        /// areas convert into.
        pub trait LocalError: $(From<$error> +)+ Send + 'static {}

        impl<E: $(From<$error> +)+ Send + 'static> LocalError for E {}
    };
}

local_error!(
    Error,
    errand_store::Error,
    evidence::Error,
    ask::Error,
    catalog::Error,
    logs::Error,
    outbox::Error,
    people::Error,
    reconcile::Error,
    replay::Error,
    sessions::Error,
    values::Error,
    IoFailure,
    PayloadRefused,
);

/// Operations on the registry of this process, for one caller.
#[derive(Clone, Debug)]
pub struct LocalOperations {
    engine: Engine,
    namespaces: Namespaces,
    actor: Option<Actor>,
}

impl LocalOperations {
    /// Returns the operations of the user of this machine: on the runs of all namespaces.
    /// Definitions of a user belong to the default namespace.
    pub const fn of_user(engine: Engine) -> Self {
        Self { engine, namespaces: Namespaces::All, actor: None }
    }

    /// Returns the operations of a client with one namespace; `None`: the default one.
    pub const fn of_namespace(engine: Engine, namespace: Option<String>) -> Self {
        Self { engine, namespaces: Namespaces::One(namespace), actor: None }
    }

    /// Returns the operations with a caller for the audit log.
    #[must_use]
    pub fn acting_as(self, actor: Actor) -> Self {
        Self { actor: Some(actor), ..self }
    }

    /// Returns the caller, for the audit log; without one, this machine.
    pub(super) fn actor(&self) -> Actor {
        let unknown = || Actor { key: None, name: None, from: self.engine.holder().host.clone() };
        self.actor.clone().unwrap_or_else(unknown)
    }

    /// Returns the engine that carries the operations out.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the namespaces whose runs and sessions the caller sees.
    pub(super) const fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// Returns the namespace of the caller's definitions; `None`: the default one.
    pub(super) fn namespace(&self) -> Option<&str> {
        match &self.namespaces {
            Namespaces::All => None,
            Namespaces::One(namespace) => namespace.as_deref(),
        }
    }

    /// Returns the name under which the store keeps a session or an agent of the caller.
    pub(super) fn stored_name(&self, name: &str) -> String {
        scoped(self.namespace(), name)
    }

    /// Returns the caller's name of a stored session or agent.
    pub(super) fn own_name(&self, stored: &str) -> String {
        unscoped(self.namespace(), stored).to_owned()
    }
}

impl std::ops::Deref for LocalOperations {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}
