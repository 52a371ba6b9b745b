//! Model route of a door: models and providers that calls go to in the place of those that the agent
//! asks for.

use std::sync::Arc;
use std::time::Duration;

use errand_agent::model_door::{ModelDoorError, ModelRouting, RoutedCalls, RoutedModel};
use errand_api::agent_file::ProviderName;
use errand_api::catalog::FallbackCause;
use errand_model::pattern;

use crate::provider::Provider;

/// Model route of a door.
#[derive(Debug)]
pub(crate) struct DoorRoute {
    entries: Vec<Arc<RouteWay>>,
}

/// Way of the calls of some models.
#[derive(Debug)]
pub(crate) struct RouteWay {
    /// Name of the route.
    pub(crate) route: String,
    pattern: String,
    /// Models and providers, in the order in which they are called; at least one.
    pub(crate) targets: Vec<WayTarget>,
    causes: Vec<FallbackCause>,
    /// Time in which an answer has to begin.
    pub(crate) timeout: Option<Duration>,
}

/// A model of a provider.
#[derive(Clone, Debug)]
pub(crate) struct WayTarget {
    pub(crate) provider: Arc<Provider>,
    /// Name of the model; `None`: the one that the agent asks for.
    pub(crate) model: Option<String>,
}

impl DoorRoute {
    /// Checks addresses and keys of a route.
    pub(crate) fn new(given: ModelRouting) -> Result<Self, ModelDoorError> {
        let ModelRouting { name, entries } = given;
        let way = |calls: RoutedCalls| {
            let RoutedCalls { pattern, targets, causes, timeout } = calls;
            let targets = targets.into_iter().map(WayTarget::new).collect::<Result<_, _>>()?;
            Ok(Arc::new(RouteWay { route: name.clone(), pattern, targets, causes, timeout }))
        };
        Ok(Self { entries: entries.into_iter().map(way).collect::<Result<_, _>>()? })
    }

    /// Returns the way of a call, if the route has one for it: wire formats are never translated, so
    /// it leads to the provider that the agent calls.
    pub(crate) fn way(&self, provider: ProviderName, model: &str) -> Option<Arc<RouteWay>> {
        let fits = |way: &&Arc<RouteWay>| {
            let leads_there = way.targets.first().is_some_and(|it| it.provider.name == provider);
            leads_there && pattern::matches(&way.pattern, model)
        };
        self.entries.iter().find(fits).cloned()
    }
}

impl RouteWay {
    /// Returns true if the next model is called for a cause.
    pub(crate) fn falls_back_on(&self, cause: FallbackCause) -> bool {
        self.causes.contains(&cause)
    }
}

impl WayTarget {
    fn new(given: RoutedModel) -> Result<Self, ModelDoorError> {
        let RoutedModel { provider, model } = given;
        Ok(Self { provider: Arc::new(Provider::new(&provider)?), model })
    }
}
