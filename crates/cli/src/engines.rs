//! Engines for commands: on the registry of this machine, or on a server's database.

use std::sync::Arc;

use errand_agent::{SystemClock, os};
use errand_api::config::Settings;
use errand_blobs::BlobAddress;
use errand_engine::{Engine, Inner};
use errand_store::postgres::{self, Postgres};
use errand_store::sqlite::{Options, Sqlite};
use errand_store::{Holder, Store};

use crate::config;
use crate::context::Context;
use crate::failure::Failure;

impl Context {
    /// Returns the engine of the existing registry, for the caller of this process.
    pub(crate) fn engine(&self) -> Result<Engine, Failure> {
        let Some(registry) = self.registry() else {
            self.check_root()?;
            let place = self.registry_or_place();
            return Err(errand_store::Error::Missing { path: place.root().to_owned() }.into());
        };
        let options =
            if self.foreign()?.is_some() { Options::READ_ONLY } else { Options::EXISTING };
        let store = Sqlite::open(&registry, options)?;
        Ok(self.engine_on(Arc::new(store), None)?.recording_environment())
    }

    /// Returns the engine of the existing registry, or of a new one, for the caller of this
    /// process.
    pub(crate) fn engine_or_create(&self) -> Result<Engine, Failure> {
        self.engine_keeping_blobs(None)
    }

    /// Returns the engine as [`Context::engine_or_create`], with blobs in that place.
    pub(crate) fn engine_keeping_blobs(
        &self,
        blobs: Option<&BlobAddress>,
    ) -> Result<Engine, Failure> {
        Ok(self.engine_of_server_or_create(blobs)?.recording_environment())
    }

    /// Returns the engine for a process that acts for other users.
    fn engine_of_server_or_create(&self, blobs: Option<&BlobAddress>) -> Result<Engine, Failure> {
        self.check_own()?;
        let registry = self.registry_or_place();
        let store = Sqlite::open(&registry, Options::CREATE)?;
        self.engine_on(Arc::new(store), blobs)
    }

    /// Returns the engine of a server's database.
    pub(crate) fn engine_on_database(&self, url: &str) -> Result<Engine, Failure> {
        let store = Postgres::open(url, postgres::Options::DEFAULT)?;
        self.engine_on(Arc::new(store), None)
    }

    /// Returns the engine for a server or a worker: of the configured database, or of the folder.
    pub(crate) fn engine_for_server(&self, settings: &Settings) -> Result<Engine, Failure> {
        let blobs = self.blob_address(settings.blobs.as_deref())?;
        let engine = match &settings.database {
            Some(url) => {
                let store = Postgres::open(url, postgres::Options::DEFAULT)?;
                self.check_own()?;
                // Folder for logs, workspaces and parcels of the runs on this machine.
                let registry = self.registry_or_place();
                registry.create().map_err(errand_store::Error::from)?;
                registry
                    .note_elsewhere()
                    .map_err(|error| Failure::io("write in", registry.root(), &error))?;
                self.engine_on(Arc::new(store), blobs.as_ref())?
            }
            None => self.engine_of_server_or_create(blobs.as_ref())?,
        };
        let limits = settings.namespaces.iter();
        let limits = limits.filter_map(|(name, it)| Some((name.clone(), it.max_concurrent_runs?)));
        let engine = engine.with_output_limit(settings.limits.output_bytes);
        Ok(engine.with_namespace_limits(limits.collect()))
    }

    fn engine_on(
        &self,
        store: Arc<dyn Store>,
        blobs: Option<&BlobAddress>,
    ) -> Result<Engine, Failure> {
        self.keep_blobs(store.as_ref(), blobs)?;
        let process = os::own_identity()
            .map_err(|error| Failure::internal("cannot tell which process this is", &error))?;
        let holder = Holder { host: os::host_name(), process, worker: None };
        let clock = Arc::new(SystemClock);
        let inner = Inner { surroundings: self.surroundings(), store, clock, holder };
        Ok(Engine::new(inner).with_output_limit(config::output_limit(self)?))
    }
}
