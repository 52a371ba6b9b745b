//! A server process, `errand up`, and a client for it.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::{HttpRequest, LIMIT, Response, RunningProgram, Sandbox, wait_until};

/// Time limit of a server: longer than any test.
const LIFETIME: Duration = Duration::from_mins(10);

/// A running `errand up` on a free port. Dropping it kills it.
#[derive(Debug)]
pub struct ErrandServer {
    running: RunningProgram,
    address: String,
}

impl ErrandServer {
    /// Starts `errand up --listen 127.0.0.1:0 <more…>` in the sandbox, and waits until it listens.
    #[must_use]
    pub fn start(sandbox: &Sandbox, more: &[&str]) -> Self {
        let words = ["up", "--listen", "127.0.0.1:0"];
        let running = sandbox.errand(words).args(more).limit(LIFETIME).spawn();
        Self::of(running)
    }

    /// Returns the server that a running command is, once it listens.
    #[must_use]
    pub fn of(mut running: RunningProgram) -> Self {
        wait_until("the server listens", LIMIT, || {
            assert!(running.is_running(), "the server ended: {}", running.stderr());
            running.stdout().contains("listening on ")
        });
        let said = running.stdout();
        let address = said
            .lines()
            .find_map(|line| line.strip_prefix("listening on "))
            .and_then(|url| url.split("://").nth(1))
            .unwrap_or_else(|| panic!("no address in {said:?}"))
            .to_owned();
        Self { running, address }
    }

    /// Returns the address that it listens on: `127.0.0.1:40123`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the address as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the process.
    #[must_use]
    pub fn process(&self) -> &RunningProgram {
        &self.running
    }

    /// Returns the process, to wait for its end.
    #[must_use]
    pub fn into_process(self) -> RunningProgram {
        self.running
    }

    /// Sends a GET.
    #[must_use]
    pub fn get(&self, target: &str) -> Response {
        HttpRequest::new("GET", target).send(&self.address)
    }

    /// Sends JSON.
    #[must_use]
    pub fn post(&self, target: &str, body: &Value) -> Response {
        self.send(
            &HttpRequest::post(target, body.to_string()).header("Content-Type", "application/json"),
        )
    }

    /// Sends any request.
    #[must_use]
    pub fn send(&self, request: &HttpRequest) -> Response {
        request.send(&self.address)
    }

    /// Registers the agent in a folder. Returns the response.
    #[must_use]
    pub fn push(&self, folder: &Path) -> Response {
        self.send(&Self::push_request(folder, ""))
    }

    /// Returns the request that registers the agent in a folder, with this query (`?force=true`).
    pub fn push_request(folder: &Path, query: &str) -> HttpRequest {
        let packed = std::process::Command::new("tar")
            .arg("-C")
            .arg(folder)
            .args(["-cf", "-", "."])
            .output()
            .expect("tar packs the folder");
        assert!(packed.status.success(), "{packed:?}");
        HttpRequest::post(&format!("/v1/agents{query}"), packed.stdout)
            .header("Content-Type", "application/x-tar")
    }
}
