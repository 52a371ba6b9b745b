//! Tool servers of an attempt's agent: their orders, with programs, environments and secrets.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use errand_agent::log;
use errand_agent::model_door::ModelDoorError;
use errand_agent::parcel::Parcel;
use errand_agent::secret::FoundSecret;
use errand_agent::tool_door::{ToolDoorOrder, ToolServerOrder, ToolTransport};
use errand_api::agent_file::{McpServer, McpValue};
use errand_model::run::Run;
use tokio::sync::watch;

use crate::admit::is_strict;
use crate::{Engine, Error, command_line, environment};

/// Time limit of a call to a server whose definition names none.
const CALL_TIME: Duration = Duration::from_secs(300);

/// Returns the order for the tools of an attempt; `None` for an agent without tool servers.
///
/// # Errors
///
/// If the program of a server cannot be found.
pub(super) fn order(
    engine: &Engine,
    run: &Run,
    (parcel, secrets): (&Parcel, &[FoundSecret]),
    workspace: &Path,
    log: &Arc<log::Writer>,
) -> Result<Option<ToolDoorOrder>, Error> {
    let configured = &parcel.agent.mcp_servers;
    if configured.is_empty() {
        return Ok(None);
    }
    let make = |server| {
        let transport = transport(engine, run, (parcel, secrets), server, workspace)?;
        let mut effects: Vec<_> =
            server.effects.iter().map(|(name, effect)| (name.clone(), *effect)).collect();
        // An exact name counts before a pattern, and a longer pattern before a shorter one.
        effects.sort_by_key(|(name, _)| (name.contains('*'), std::cmp::Reverse(name.len())));
        let timeout = server.timeout_ms.map_or(CALL_TIME, Duration::from_millis);
        let (name, labels) = (server.name.clone(), server.labels.clone());
        Ok(ToolServerOrder { name, transport, effects, labels, timeout })
    };
    let servers = configured.iter().map(make).collect::<Result<_, Error>>()?;
    let attempt = run.last_attempt_number();
    Ok(Some(ToolDoorOrder {
        run_id: run.id.clone(),
        attempt,
        servers,
        // Later attempts and replays are served from the record as far as it goes.
        starts_early: attempt == 1 && !is_strict(run),
        log: Arc::clone(log),
        failed: watch::Sender::new(None),
        listed: watch::Sender::new(false),
    }))
}

fn transport(
    engine: &Engine,
    run: &Run,
    (parcel, secrets): (&Parcel, &[FoundSecret]),
    server: &McpServer,
    workspace: &Path,
) -> Result<ToolTransport, Error> {
    // Missing secrets were reported before.
    let value = |value: &McpValue| match value {
        McpValue::Text(text) => Some(OsString::from(text)),
        McpValue::Secret { secret, prefix } => {
            let found = secrets.iter().find(|found| found.name == *secret)?;
            let mut value = OsString::from(prefix);
            value.push(found.value.expose_os());
            Some(value)
        }
    };
    if let Some(url) = &server.url {
        let headers = server
            .headers
            .iter()
            .filter_map(|(name, given)| Some((name.clone(), value(given)?.into_encoded_bytes())));
        return Ok(ToolTransport::Http { url: url.clone(), headers: headers.collect() });
    }
    let (around, files) = (engine.surroundings(), parcel.files_path());
    let recorded = run.spec.caller_env.as_deref();
    let argv = if is_strict(run) {
        // A strict replay starts no server: its program need not be there.
        command_line::resolve_in_parcel(&server.command, &files)
    } else {
        let search_path = environment::search_path(around, recorded);
        command_line::resolve(&server.command, &files, &search_path).map_err(|problem| {
            let (server, reason) = (server.name.clone(), problem.to_string());
            ModelDoorError::ToolProgram { server, reason }
        })?
    };
    let named = server.env.iter().filter_map(|(name, given)| Some((name.into(), value(given)?)));
    // Processes with these marks are ended with the run, whatever becomes of this process.
    let marks = [
        ("ERRAND_RUN_ID".into(), run.id.as_str().into()),
        ("ERRAND_ATTEMPT".into(), run.last_attempt_number().to_string().into()),
    ];
    let env = environment::of_tool_server(around, recorded, named.chain(marks));
    Ok(ToolTransport::Stdio { argv, env, cwd: workspace.to_owned() })
}
