//! Tool gateway of an attempt: its servers, and the list of their tools.

use std::sync::Arc;

use errand_agent::agent_api::{Backend, Refusal, StepCall, StepCallResult};
use errand_agent::model_door::ModelDoorError;
use errand_agent::redact::Redactor;
use errand_agent::tool_door::{LIST_STEP, ToolDoorOrder};
use errand_api::error_code::ErrorCode;
use errand_model::Payload;
use errand_model::failure::Failure;
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::{OnceCell, watch};

use super::occurrences::Occurrences;
use super::offered::{OfferedTool, OfferedTools, ToolNameTaken};
use super::server::{ServerDown, ToolServer};
use super::stderr::ServerLog;
use crate::context::ProviderClient;

/// Kind of that step.
const LIST_KIND: &str = "tools";

/// Tool gateway of an attempt.
#[derive(Debug)]
pub(crate) struct ToolGateway {
    pub(crate) servers: Vec<ToolServer>,
    pub(crate) occurrences: Occurrences,
    listed: OnceCell<OfferedTools>,
    starts_early: bool,
    failed: watch::Sender<Option<Failure>>,
    listed_early: watch::Sender<bool>,
    notes: ServerLog,
}

/// Error: the tools are not known.
#[derive(Debug)]
pub(crate) enum ToolsUnknown {
    /// A server failed, for which the attempt ends.
    Failed(Failure),
    /// The backend of the attempt refused.
    Refused(Refusal),
}

impl ToolGateway {
    /// Checks the servers of an attempt. None is started.
    pub(crate) fn new(
        order: ToolDoorOrder,
        redactor: &Redactor,
        client: &ProviderClient,
    ) -> Result<Self, ModelDoorError> {
        let ToolDoorOrder { servers, log, failed, listed, starts_early, .. } = order;
        let logged = |name: &str| ServerLog::new(name, Arc::clone(&log), redactor.clone());
        let notes = logged("gateway");
        let servers = servers.into_iter().map(|server| {
            let log = logged(&server.name);
            ToolServer::new(server, log, client.clone())
        });
        Ok(Self {
            servers: servers.collect::<Result<_, _>>()?,
            occurrences: Occurrences::default(),
            listed: OnceCell::new(),
            starts_early,
            failed,
            listed_early: listed,
            notes,
        })
    }

    /// Starts the servers early, where the tools are not in the record of the run.
    pub(crate) async fn begin(&self, backend: &dyn Backend) {
        if self.starts_early {
            // The failure is noted, and the next request has the refusal.
            drop(self.tools(backend).await);
        }
        self.listed_early.send_replace(true);
    }

    /// Returns the tools of the run: the recorded ones, or those that the servers list now.
    pub(crate) async fn tools(&self, backend: &dyn Backend) -> Result<&OfferedTools, ToolsUnknown> {
        let found = self.listed.get_or_try_init(|| self.list(backend)).await;
        if let Err(ToolsUnknown::Failed(failure)) = &found {
            // The first failure counts.
            self.failed.send_if_modified(|failed| {
                let is_first = failed.is_none();
                failed.get_or_insert_with(|| failure.clone());
                is_first
            });
        }
        found
    }

    /// Returns the server of that name.
    pub(crate) fn server(&self, name: &str) -> Option<&ToolServer> {
        self.servers.iter().find(|server| server.order.name == name)
    }

    /// Ends all servers.
    pub(crate) async fn close(&self) {
        join_all(self.servers.iter().map(ToolServer::close)).await;
    }

    async fn list(&self, backend: &dyn Backend) -> Result<OfferedTools, ToolsUnknown> {
        let recorded = backend.recorded_step(LIST_STEP).await.map_err(ToolsUnknown::Refused)?;
        if let Some(recorded) = recorded {
            return read(recorded).map_err(ToolsUnknown::Refused);
        }
        let listed = join_all(self.servers.iter().map(ToolServer::tools)).await;
        let mut all = OfferedTools::default();
        for (server, listed) in self.servers.iter().zip(listed) {
            let definitions = listed.map_err(|down| ToolsUnknown::Failed(failure(down)))?;
            let server = &server.order.name;
            let tool = |definition| OfferedTool { server: server.clone(), definition };
            all.tools.extend(definitions.into_iter().map(tool));
        }
        let left_out = all.check().map_err(|taken| ToolsUnknown::Failed(name_taken(&taken)))?;
        for name in left_out {
            self.notes.note(&format!("the name {name} is too long for models: it is left out"));
        }
        let called: Vec<_> = all.tools.iter().map(OfferedTool::called).collect();
        for note in backend.check_tool_rules(&called).map_err(ToolsUnknown::Failed)? {
            self.notes.note(&note);
        }
        record(backend, &all).await.map_err(ToolsUnknown::Refused)?;
        Ok(all)
    }
}

async fn record(backend: &dyn Backend, all: &OfferedTools) -> Result<(), Refusal> {
    let step = StepCall {
        kind: Some(LIST_KIND.to_owned()),
        detail: Some(match all.tools.len() {
            1 => "1 tool".to_owned(),
            count => format!("{count} tools"),
        }),
        ..StepCall::default()
    };
    backend.begin_step(LIST_STEP, step).await?;
    let output = Some(Payload::Json(json!(all)));
    backend.complete_step(LIST_STEP, StepCallResult { output, stderr: None }).await
}

fn read(recorded: Payload) -> Result<OfferedTools, Refusal> {
    let Payload::Json(value) = recorded else {
        return Err(Refusal::internal("the recorded list of tools is none"));
    };
    serde_json::from_value(value)
        .map_err(|error| Refusal::internal(format!("the recorded list of tools: {error}")))
}

/// Returns the failure of an attempt whose tool server failed.
pub(crate) fn failure(down: ServerDown) -> Failure {
    let ServerDown { server, reason, stderr_tail } = down;
    let said = stderr_tail.as_ref().map(|tail| {
        // Messages are shown in a line.
        let lines: Vec<&str> = tail.lines().collect();
        format!("; its last lines: {}", lines.join(" | "))
    });
    let message = format!("the tool server {server} failed: {reason}{}", said.unwrap_or_default());
    Failure::new(ErrorCode::ToolServerFailed, message)
}

fn name_taken(taken: &ToolNameTaken) -> Failure {
    let ToolNameTaken { name, servers: [one, other] } = taken;
    let message = if one == other {
        format!("the tool server {one} has two tools that the agent would find as {name}")
    } else {
        format!(
            "the tool servers {one} and {other} have tools that the agent would both find as {name}"
        )
    };
    Failure::new(ErrorCode::ToolNameTaken, message)
}
