//! The seam to the tool gateway: tool servers of an attempt, behind the door of its agent.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use errand_model::RunId;
use errand_model::accounting::SideEffect;
use errand_model::failure::Failure;
use tokio::sync::watch;

use crate::log;

/// Variable with the address of the tools.
pub const URL_VARIABLE: &str = "ERRAND_MCP_URL";
/// Variable with the token for that address.
pub const TOKEN_VARIABLE: &str = "ERRAND_MCP_TOKEN";
/// Path of the tools at a door.
pub const PATH: &str = "/mcp";

/// Returns the name of a tool for the agent: model providers accept letters, digits, `_` and `-`.
pub fn offered_name(server: &str, tool: &str) -> String {
    let accepted = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    format!("{server}_{tool}").chars().map(accepted).collect()
}

/// Key of the step that keeps the list of tools.
pub const LIST_STEP: &str = "mcp/tools";

/// Tools that are wanted for an attempt.
#[derive(Clone, Debug)]
pub struct ToolDoorOrder {
    /// Run of the attempt.
    pub run_id: RunId,
    /// Number of the attempt.
    pub attempt: u32,
    /// Tool servers, in the order of the agent file.
    pub servers: Vec<ToolServerOrder>,
    /// True if the servers are started before the agent asks for their tools.
    pub starts_early: bool,
    /// Log of the run.
    pub log: Arc<log::Writer>,
    /// Failure of a tool server for which the attempt ends.
    pub failed: watch::Sender<Option<Failure>>,
    /// True once the tools are listed, or need not be before the agent asks for them.
    pub listed: watch::Sender<bool>,
}

/// A tool server with everything that it needs.
#[derive(Clone, Debug)]
pub struct ToolServerOrder {
    /// Name of the server.
    pub name: String,
    /// Way to the server.
    pub transport: ToolTransport,
    /// Side effects of its tools by patterns of names, the strongest pattern first.
    pub effects: Vec<(String, SideEffect)>,
    /// Labels of what its tools return.
    pub labels: Vec<String>,
    /// Time limit of a call.
    pub timeout: Duration,
}

/// Way to a tool server.
#[derive(Clone)]
pub enum ToolTransport {
    /// A process of this machine, which speaks on its stdin and stdout.
    Stdio {
        /// Program and arguments.
        argv: Vec<OsString>,
        /// Environment of the process; it inherits nothing else.
        env: Vec<(OsString, OsString)>,
        /// Directory in which the process starts.
        cwd: PathBuf,
    },
    /// A service that is reached over HTTP.
    Http {
        /// Address of the service.
        url: String,
        /// Headers of each request.
        headers: Vec<(String, Vec<u8>)>,
    },
}

impl std::fmt::Debug for ToolTransport {
    /// Shows no value: they may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdio { argv, cwd, .. } => f
                .debug_struct("Stdio")
                .field("argv", argv)
                .field("cwd", cwd)
                .finish_non_exhaustive(),
            Self::Http { url, .. } => {
                f.debug_struct("Http").field("url", url).finish_non_exhaustive()
            }
        }
    }
}
