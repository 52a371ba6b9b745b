//! A real server, tested against the description of its API.

use std::path::PathBuf;
use std::time::Duration;

use errand_testkit::{ErrandServer, TestAgent, wait_until};

use crate::support::sandbox;

/// Generated requests of each kind for a route.
const EXAMPLES: &str = "8";
/// Time for some thousands of requests on a slow machine.
const LIMIT: Duration = Duration::from_mins(10);
/// Routes of streams, which do not end by themselves.
const STREAMS: &str = "^/v1/(events|runs/stream)$|^/v1/hooks/";

/// Allowed responses to a request that fits its schema.
const CONFIG: &str = r#"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "422", "429"]
"#;

#[test]
fn a_server_conforms_to_its_openapi_document() {
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("schemathesis/bin/schemathesis");
    if !program.is_file() {
        println!("SKIPPED: schemathesis is not installed; `cargo xtask test` installs it");
        return;
    }
    let sandbox = sandbox();
    let agents = sandbox.path("agents");
    TestAgent::shell("cat").named("echo").write_below(&agents);
    let server = ErrandServer::start(&sandbox, &["--agents", agents.to_str().unwrap()]);
    let scopes = "runs:read,runs:write,approvals:decide,admin";
    let key = ["keys", "create", "--name", "all", "--scope", scopes];
    let key = sandbox.errand(key).run().ok().stdout_line();
    // A server is open until it has noticed the key.
    wait_until("the server asks for keys", errand_testkit::LIMIT, || {
        server.get("/v1/runs").status == 401
    });
    // Status 422 is for well-formed requests with an invalid meaning: an unknown time zone, a cron
    // line that never fires.
    sandbox.write("schemathesis.toml", CONFIG);
    let document = format!("{}/openapi.json", server.url());
    let tested = sandbox
        .tool(&program, ["run", &document, "--checks", "all", "--max-examples", EXAMPLES])
        .args(["--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--no-color"])
        .args(["--exclude-path-regex", STREAMS])
        // Archives cannot be generated: they have tests of their own.
        .args(["--exclude-operation-id", "push_agent"])
        // The generator would find its own key in a list, and revoke it.
        .args(["--exclude-operation-id", "revoke_key"])
        // Listed origins have slashes, which no path accepts: few examples are left.
        .args(["--suppress-health-check", "filter_too_much"])
        .args(["-H", &format!("Authorization: Bearer {key}")])
        .limit(LIMIT)
        .run()
        .ok();
    assert!(tested.stdout().contains("Tested"), "{}", tested.stdout());
}
