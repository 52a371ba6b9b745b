//! Sessions: state, messages and tool results that outlive the runs of a conversation.

use errand_api::session::{
    SESSION_SCHEMA, SessionDetail, SessionRun, SessionSummary, StoredMessage, ToolResult,
};
use errand_store::{Session, StoredSessionMessage};
use serde_json::Value;

use crate::sessions::SessionDetails;

/// Returns the summary of a session, with counts of its contents.
pub fn session_summary(session: Session) -> SessionSummary {
    SessionSummary {
        session_id: session.session_id,
        revision: session.revision,
        used_at_ms: session.used_at,
        messages: session.messages,
        results: session.results,
        runs: session.runs,
        live_runs: session.live_runs,
    }
}

/// Returns the documents of messages with their contents, in the given order.
pub fn messages(messages: Vec<(StoredSessionMessage, Value)>) -> Vec<StoredMessage> {
    let message = |(message, content): (StoredSessionMessage, Value)| StoredMessage {
        number: message.number,
        run_id: message.run_id,
        role: message.role,
        content,
        at_ms: message.at,
    };
    messages.into_iter().map(message).collect()
}

/// Returns the document of a whole session.
pub fn session(shown: SessionDetails) -> SessionDetail {
    let SessionDetails { session, state, messages, results, runs } = shown;
    let results = results.into_iter().map(|(kept, result)| ToolResult {
        tool: kept.tool,
        key: kept.input_digest,
        run_id: kept.run_id,
        result,
        at_ms: kept.at,
        expires_at_ms: kept.expires_at,
    });
    let runs = runs.into_iter().map(|run| SessionRun {
        run_id: run.run_id,
        status: run.status.to_owned(),
        created_at_ms: run.created_at,
        rolled_back: run.is_rolled_back,
    });
    SessionDetail {
        schema: SESSION_SCHEMA,
        session_id: session.session_id,
        revision: session.revision,
        used_at_ms: session.used_at,
        state,
        total_messages: session.messages,
        messages: self::messages(messages),
        results: results.collect(),
        total_runs: session.runs,
        live_runs: session.live_runs,
        runs: runs.collect(),
    }
}
