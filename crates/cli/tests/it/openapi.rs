//! A real server against the description of its API.

use std::path::PathBuf;
use std::time::Duration;

use errand_testkit::{Agent, Server, wait_until};

use crate::support::sandbox;

/// Requests of each kind that are made up for a route.
const EXAMPLES: &str = "8";
/// A slow machine needs a while for some thousands of requests.
const LIMIT: Duration = Duration::from_mins(10);
/// Streams, which do not end by themselves.
const STREAMS: &str = "^/v1/(events|runs/stream)$|^/v1/hooks/";

/// What a request may be answered with that fits its schema.
const CONFIG: &str = r#"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "422", "429"]
"#;

#[test]
fn a_server_does_what_its_description_says() {
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("schemathesis/bin/schemathesis");
    if !program.is_file() {
        println!("SKIPPED: schemathesis is not installed; `cargo xtask test` installs it");
        return;
    }
    let sandbox = sandbox();
    let agents = sandbox.path("agents");
    Agent::shell("cat").named("echo").write_below(&agents);
    let server = Server::start(&sandbox, &["--agents", agents.to_str().unwrap()]);
    let scopes = "runs:read,runs:write,approvals:decide,admin";
    let key = ["keys", "create", "--name", "all", "--scope", scopes];
    let key = sandbox.errand(key).run().ok().stdout_line();
    // Until it has heard of the key, a server is open.
    wait_until("the server asks for keys", errand_testkit::LIMIT, || {
        server.get("/v1/runs").status == 401
    });
    // 422 is the answer to what is well formed, and refused for what it means: a time zone that does
    // not exist, a cron line that never fires.
    sandbox.write("schemathesis.toml", CONFIG);
    let document = format!("{}/openapi.json", server.url());
    let tested = sandbox
        .tool(&program, ["run", &document, "--checks", "all", "--max-examples", EXAMPLES])
        .args(["--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--no-color"])
        .args(["--exclude-path-regex", STREAMS])
        // Bytes that are an archive cannot be made up: it has tests of its own.
        .args(["--exclude-operation-id", "push_agent"])
        // It finds the keys in a list, and takes back its own.
        .args(["--exclude-operation-id", "revoke_key"])
        // The origins that it was shown have slashes, which no path takes: few examples are left.
        .args(["--suppress-health-check", "filter_too_much"])
        .args(["-H", &format!("Authorization: Bearer {key}")])
        .limit(LIMIT)
        .run()
        .ok();
    assert!(tested.stdout().contains("Tested"), "{}", tested.stdout());
}
