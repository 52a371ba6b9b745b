//! Targets and harnesses of a program, by name.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use errand_model::RunId;

use crate::harness::{CommandHarness, Harness};
use crate::process::ProcessTarget;
use crate::target::Target;

/// Targets by name. The default has `process` alone. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Targets(Arc<BTreeMap<&'static str, Arc<dyn Target>>>);

impl Default for Targets {
    fn default() -> Self {
        Self(Arc::default()).with(Arc::new(ProcessTarget::default()))
    }
}

impl Targets {
    /// Returns these targets and `target`, which replaces one of the same name.
    #[must_use]
    pub fn with(mut self, target: Arc<dyn Target>) -> Self {
        Arc::make_mut(&mut self.0).insert(target.name(), target);
        self
    }

    /// Returns the target with this name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Target>> {
        self.0.get(name)
    }

    /// Returns all targets.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Target>> {
        self.0.values()
    }

    /// Ends all processes of a run whose record has no locators, in every target.
    ///
    /// # Errors
    ///
    /// As [`Target::end`]; of several targets, the first error.
    pub async fn end_all(&self, run_id: &RunId, grace: Duration) -> io::Result<usize> {
        let mut ended = 0;
        for target in self.0.values() {
            ended += target.end(run_id, &[], grace).await?;
        }
        Ok(ended)
    }
}

/// Harnesses by name. The default has `command` alone. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Harnesses(Arc<BTreeMap<&'static str, Arc<dyn Harness>>>);

impl Default for Harnesses {
    fn default() -> Self {
        Self(Arc::default()).with(Arc::new(CommandHarness))
    }
}

impl Harnesses {
    /// Returns these harnesses and `harness`, which replaces one of the same name.
    #[must_use]
    pub fn with(mut self, harness: Arc<dyn Harness>) -> Self {
        Arc::make_mut(&mut self.0).insert(harness.name(), harness);
        self
    }

    /// Returns the harness with this name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Harness>> {
        self.0.get(name)
    }
}
