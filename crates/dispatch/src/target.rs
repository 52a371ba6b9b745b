//! The target `dispatcher` as a [`Target`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use errand_agent::secret::Vault;
use errand_agent::target::{
    AgentOutput, BusRoute, DispatchOrder, DispatcherRoute, LaunchSpec, Live, OrphanedAgent,
    OutputSink, RunState, SinkProgress, Target, TargetStartError,
};
use errand_model::error_code::ErrorCode;
use errand_model::{Locator, ProcessIdentity, RunId};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::by_bus::{self, BusWire};
use crate::client::{self, ApiKey, DispatchError, DispatcherClient};
use crate::kept::KeptRoute;
use crate::live::TaskFollower;
use crate::route::{NAME, TaskRoute};

/// Time for which dispatchers are looked for that answer.
const ACTIVE_LIMIT: Duration = Duration::from_secs(30);
/// Time that one dispatcher has to answer that it is there.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// Pause between two looks for a dispatcher that answers.
const PROBE_AGAIN: Duration = Duration::from_millis(500);
/// Time for which the end of a cancelled task is waited for: its agent has ten seconds to exit.
const CANCEL_LIMIT: Duration = Duration::from_secs(30);
/// Pause between two looks at a cancelled task.
const CANCEL_AGAIN: Duration = Duration::from_millis(100);

/// Settings of the target `dispatcher`.
#[derive(Debug)]
pub struct DispatchSettings {
    /// Folder for traces of tasks, which the first task makes.
    pub folder: PathBuf,
    /// Store of secrets, with the API keys of dispatchers.
    pub vault: Vault,
    /// Environment, which is searched first for secrets.
    pub environment: BTreeMap<OsString, OsString>,
}

/// The target `dispatcher`. Does nothing before an agent needs it.
#[derive(Debug)]
pub struct DispatcherTarget {
    settings: DispatchSettings,
    http: OnceCell<reqwest::Client>,
}

impl DispatcherTarget {
    /// Returns the target. Nothing is connected or written yet.
    pub fn new(settings: DispatchSettings) -> Self {
        Self { settings, http: OnceCell::new() }
    }

    /// Returns the client of a dispatcher, with its API key.
    async fn client(&self, route: &DispatcherRoute) -> Result<DispatcherClient, TargetStartError> {
        let key = route.key.as_ref().map(|name| self.key(name)).transpose()?;
        let http = self.http.get_or_try_init(|| async { client::http() }).await;
        let http = http.map_err(io::Error::other)?.clone();
        Ok(DispatcherClient::new(http, &route.dispatcher, &route.url, key))
    }

    fn key(&self, name: &String) -> Result<ApiKey, TargetStartError> {
        let look_up = |name: &str| self.settings.environment.get(OsStr::new(name)).cloned();
        let refused = |message: String| TargetStartError::Refused {
            code: ErrorCode::SecretMissing,
            message: format!("the key of the dispatcher: {message}"),
        };
        let found = self.settings.vault.resolve(std::slice::from_ref(name), &look_up);
        let found = found.map_err(|error| refused(error.to_string()))?;
        let value =
            found.first().and_then(|secret| std::str::from_utf8(secret.value.expose()).ok());
        match value {
            Some(value) => Ok(ApiKey(value.trim().to_owned())),
            None => Err(refused(format!("{name} is no text"))),
        }
    }

    fn kept_route(&self, run_id: &RunId, attempt: u32) -> KeptRoute {
        KeptRoute::of(&self.settings.folder, run_id, attempt)
    }

    /// Sends the task of an attempt to the first dispatcher that takes it.
    async fn send(
        &self,
        order: &DispatchOrder,
        kept: &KeptRoute,
    ) -> Result<(DispatcherClient, TaskRoute), TargetStartError> {
        if let [only] = order.candidates.as_slice() {
            let client = self.client(only).await?.answering_within(order.timeout);
            return Ok(self.send_to(client, only, order, kept).await?);
        }
        let gives_up_at = Instant::now() + ACTIVE_LIMIT;
        let mut last = None;
        while !order.candidates.is_empty() {
            for route in &order.candidates {
                let client = self.client(route).await?.answering_within(order.timeout);
                // A bus keeps a task for a dispatcher that does not answer now.
                if route.bus.is_none() && !client.is_active(PROBE_LIMIT).await {
                    continue;
                }
                match self.send_to(client, route, order, kept).await {
                    Err(
                        error @ (DispatchError::Unreachable { .. } | DispatchError::Bus { .. }),
                    ) => {
                        last = Some(error);
                    }
                    other => return Ok(other?),
                }
            }
            if Instant::now() >= gives_up_at {
                break;
            }
            sleep(PROBE_AGAIN).await;
        }
        Err(none_active(order, last))
    }

    /// Sends the task. The way to it is written first, so that no task is ever left without a trace.
    async fn send_to(
        &self,
        client: DispatcherClient,
        dispatcher: &DispatcherRoute,
        order: &DispatchOrder,
        kept: &KeptRoute,
    ) -> Result<(DispatcherClient, TaskRoute), DispatchError> {
        let name = &dispatcher.dispatcher;
        let sealed = match &dispatcher.bus {
            Some(_) => Some(by_bus::seal(&client, order)?),
            None => None,
        };
        let route = TaskRoute {
            dispatcher: dispatcher.clone(),
            task_id: order.task.task_id.clone(),
            message: sealed.as_ref().map(|sealed| sealed.message.clone()),
        };
        kept.write(&route).map_err(|error| DispatchError::Unreachable {
            name: name.clone(),
            reason: format!("the way to its task cannot be written: {error}"),
        })?;
        if let (Some(sealed), Some(bus)) = (sealed, &dispatcher.bus) {
            let wire = self.wire(name, bus)?;
            wire.put(sealed.bytes, &sealed.message).await?;
            wire.send(&sealed.message).await?;
            return Ok((client, route));
        }
        if let Some(key) = &order.task.brief_key {
            client.put_brief(key, order.brief.clone()).await?;
        }
        client.send(&order.task).await?;
        Ok((client, route))
    }

    /// Returns the way by a bus.
    fn wire(&self, name: &str, bus: &BusRoute) -> Result<BusWire, DispatchError> {
        let password = bus.address.password.as_ref().map(|secret| self.key(secret)).transpose();
        let password = password.map_err(|error| DispatchError::Bus {
            name: name.to_owned(),
            code: ErrorCode::SecretMissing,
            reason: error.to_string(),
        })?;
        BusWire::open(name, bus, password, &self.settings.environment)
    }

    /// Returns the way by the bus of a task that was sent by one.
    fn wire_of(&self, route: &TaskRoute) -> Option<BusWire> {
        let bus = route.dispatcher.bus.as_ref()?;
        self.wire(&route.dispatcher.dispatcher, bus).ok()
    }

    /// Removes the order of a task that is over from the place for orders.
    async fn remove_order(&self, route: &TaskRoute) {
        if let (Some(wire), Some(message)) = (self.wire_of(route), &route.message) {
            wire.remove(message).await;
        }
    }

    /// Cancels a task, and waits for its end. Returns true if it was live.
    async fn cancel(&self, route: &TaskRoute) -> io::Result<bool> {
        let client = self.client(&route.dispatcher).await.map_err(io::Error::other)?;
        let gives_up_at = Instant::now() + CANCEL_LIMIT;
        let mut task = match client.task(&route.task_id).await {
            Err(error) if error.is_not_found() => match &route.message {
                None => return Ok(false),
                Some(_) => client.cancel(route).await.map_err(io::Error::other)?,
            },
            found => found.map_err(io::Error::other)?,
        };
        if task.status.is_terminal() && task.order >= route.order() {
            self.remove_order(route).await;
            return Ok(false);
        }
        client.cancel(route).await.map_err(io::Error::other)?;
        while !task.status.is_terminal() {
            if Instant::now() >= gives_up_at {
                let message = format!("task {} does not end", route.task_id);
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            sleep(CANCEL_AGAIN).await;
            task = client.task(&route.task_id).await.map_err(io::Error::other)?;
        }
        Ok(true)
    }
}

/// Returns the error for an order that no dispatcher took.
fn none_active(order: &DispatchOrder, last: Option<DispatchError>) -> TargetStartError {
    let names: Vec<&str> = order.candidates.iter().map(|it| it.dispatcher.as_str()).collect();
    let message = match (names.as_slice(), last) {
        ([], _) if !order.unfit.is_empty() => format!(
            "not for the target of the agent: {}; `errand get dispatcher/NAME` shows its `targets`",
            order.unfit.join(", ")
        ),
        ([], _) => {
            "no dispatcher of the catalog fits: each has a label that differs from the agent's; \
                    `errand get dispatcher` lists them"
                .to_owned()
        }
        (names, None) => {
            format!("none answered within {} s: {}", ACTIVE_LIMIT.as_secs(), names.join(", "))
        }
        (_, Some(last)) => last.to_string(),
    };
    TargetStartError::Refused { code: ErrorCode::NoActiveDispatcher, message }
}

#[async_trait]
impl Target for DispatcherTarget {
    fn name(&self) -> &'static str {
        NAME
    }

    fn sees_this_machine(&self) -> bool {
        false
    }

    async fn start(
        &self,
        spec: &LaunchSpec,
        output: AgentOutput,
    ) -> Result<Box<dyn Live>, TargetStartError> {
        let Some(order) = &spec.dispatch else {
            return Err(io::Error::other("there is no order for a dispatcher").into());
        };
        let kept = self.kept_route(&spec.run_id, spec.attempt);
        let (client, route) = self.send(order, &kept).await?;
        let sinks = [OutputSink::stdout(output.clone()), OutputSink::stderr(output.clone())];
        let wire = self.wire_of(&route);
        let follower = TaskFollower { client, route, kept, output, wire };
        follower.until_begun().await;
        Ok(Box::new(follower.follow(sinks)))
    }

    fn outlives_supervisor(&self) -> bool {
        true
    }

    fn can_adopt(&self, agent: &OrphanedAgent) -> bool {
        TaskRoute::of(&agent.locator).is_ok()
            && self.kept_route(&agent.run_id, agent.attempt).exists()
    }

    async fn adopt(
        &self,
        agent: &OrphanedAgent,
        output: AgentOutput,
    ) -> Result<Box<dyn Live>, TargetStartError> {
        let route = TaskRoute::of(&agent.locator)?;
        let kept = self.kept_route(&agent.run_id, agent.attempt);
        let client = self.client(&route.dispatcher).await?;
        // The log of the task comes from its beginning: the part that the run's log has is dropped.
        let none = || SinkProgress::default();
        let sinks = OutputSink::continuing(&output, agent.attempt, [none(), none()], false)?;
        let wire = self.wire_of(&route);
        Ok(Box::new(TaskFollower { client, route, kept, output, wire }.follow(sinks)))
    }

    fn kept(&self) -> Vec<(RunId, u32)> {
        KeptRoute::list(&self.settings.folder)
    }

    async fn forget(&self, run_id: &RunId, attempt: u32) -> io::Result<()> {
        let kept = self.kept_route(run_id, attempt);
        if let Some(route) = kept.read()? {
            self.cancel(&route).await?;
        }
        kept.remove()
    }

    async fn forget_for(&self, run_id: &RunId, attempt: u32, run: RunState) -> io::Result<()> {
        let is_later = |(other, number): &(RunId, u32)| other == run_id && *number > attempt;
        match run {
            RunState::Over => self.forget(run_id, attempt).await,
            // The next attempt has the task of this one, or another task.
            RunState::Live if self.kept().iter().any(is_later) => {
                self.kept_route(run_id, attempt).remove()
            }
            RunState::Live => Ok(()),
        }
    }

    async fn end(&self, run_id: &RunId, known: &[Locator], _grace: Duration) -> io::Result<usize> {
        let mut routes: Vec<TaskRoute> =
            known.iter().filter_map(|locator| TaskRoute::of(locator).ok()).collect();
        let kept: Vec<KeptRoute> = self
            .kept()
            .into_iter()
            .filter(|(of_run, _)| of_run == run_id)
            .map(|(run_id, attempt)| self.kept_route(&run_id, attempt))
            .collect();
        for kept in &kept {
            routes.extend(kept.read()?.filter(|route| !routes.contains(route)));
        }
        let mut ended = 0;
        for route in &routes {
            ended += usize::from(self.cancel(route).await?);
        }
        for kept in &kept {
            kept.remove()?;
        }
        Ok(ended)
    }

    async fn is_frozen(&self, run_id: &RunId, _: &ProcessIdentity) -> io::Result<bool> {
        for (_, attempt) in self.kept().into_iter().filter(|(of_run, _)| of_run == run_id) {
            let Some(route) = self.kept_route(run_id, attempt).read()? else { continue };
            let client = self.client(&route.dispatcher).await.map_err(io::Error::other)?;
            let works = match client.task(&route.task_id).await {
                // The order waits at a bus: nothing was begun.
                Ok(task) if task.order < route.order() => false,
                Err(error) if error.is_not_found() => false,
                found => {
                    let task = found.map_err(io::Error::other)?;
                    !task.paused && !task.status.is_terminal()
                }
            };
            if works {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
