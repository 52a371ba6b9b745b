//! Clients that other generators make from the OpenAPI document in the repository, against a real
//! server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use errand_testkit::{ErrandServer, Sandbox, TestAgent};

use crate::support::{self, sandbox};

/// Time limit of a generator and a compiler on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);
/// An agent that adds one in a step, and reports a model call.
const COUNTER: &str = r#"
n=$(sed 's/[^0-9]//g')
sum=$(errand agent step add -- expr "$n" + 1)
errand agent emit model.called '{"model":"m","input_tokens":5,"output_tokens":7}'
errand agent output "{\"n\":$sum}"
"#;

/// Returns the path of the repository's document.
fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi.json")
}

/// Returns the path of a file beside this one.
fn client(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients").join(name)
}

/// Starts a server with a few agents; returns it with a key.
fn served(sandbox: &Sandbox) -> (ErrandServer, String) {
    let agents = sandbox.path("agents");
    let limited = "budgets: { tokens_per_run: 100 }";
    TestAgent::shell(COUNTER).named("counter").spec(limited).write_below(&agents);
    TestAgent::shell("exec sleep 600").named("sleeper").write_below(&agents);
    let server = ErrandServer::start(sandbox, &["--agents", agents.to_str().unwrap()]);
    let key = ["keys", "create", "--name", "all", "--scope", "runs:read,runs:write"];
    let key = sandbox.errand(key).run().ok().stdout_line();
    (server, key)
}

#[test]
fn a_validator_finds_nothing_wrong_with_the_document() {
    let Some(tools) = support::installed("openapi-clients") else { return };
    let sandbox = sandbox();
    let validator = tools.join("bin/openapi-spec-validator");
    let checked = sandbox.tool(&validator, [document()]).limit(LIMIT).run().ok();
    assert!(checked.stdout().contains("OK"), "{}", checked.stdout());
}

#[test]
fn a_python_client_is_generated_without_a_warning_and_drives_a_server() {
    let Some(tools) = support::installed("openapi-clients") else { return };
    let sandbox = sandbox();
    // The formatters that the generator calls are not under test. It knows no lines of JSON.
    let config = sandbox.write(
        "generator.yaml",
        "post_hooks: []\ncontent_type_overrides: { application/x-ndjson: application/octet-stream }\n",
    );
    let generated = sandbox.path("generated");
    let made = sandbox
        .tool(tools.join("bin/openapi-python-client"), ["generate"])
        .args([Path::new("--path"), &document(), Path::new("--output-path"), &generated])
        .args([Path::new("--config"), &config, Path::new("--fail-on-warning")])
        .limit(LIMIT)
        .run()
        .ok();
    let said = format!("{}{}", made.stdout(), made.stderr());
    assert!(!said.to_lowercase().contains("warning"), "{said}");
    let (server, key) = served(&sandbox);
    let driven = sandbox
        .tool(tools.join("bin/python"), [client("drive.py")])
        .args([server.url(), key])
        .env("PYTHONPATH", &generated)
        .limit(LIMIT)
        .run()
        .ok();
    assert_eq!(driven.stdout_line(), "driven");
}

#[test]
fn generated_typescript_types_compile_strictly_and_describe_what_a_server_sends() {
    let Some(tools) = support::installed("openapi-typescript") else { return };
    let sandbox = sandbox();
    let folder = sandbox.path("typescript");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(client("drive.ts"), folder.join("drive.ts")).unwrap();
    // The virtual environment beside has a node for machines without one.
    let beside = tools.with_file_name("openapi-clients").join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::split_paths(&path).chain([beside]);
    let path = std::env::join_paths(path).unwrap();
    let tool = |name: &str| {
        let command = sandbox.tool(tools.join("node_modules/.bin").join(name), [""; 0]);
        command.env("PATH", &path).current_dir(&folder).limit(LIMIT)
    };
    drop(tool("openapi-typescript").arg(document()).args(["-o", "errand.d.ts"]).run().ok());
    let options = ["--strict", "--target", "es2022", "--module", "es2022"];
    let lib = ["--moduleResolution", "bundler", "--lib", "es2022,dom"];
    drop(tool("tsc").args(options).args(lib).arg("drive.ts").run().ok());
    let (server, key) = served(&sandbox);
    std::fs::rename(folder.join("drive.js"), folder.join("drive.mjs")).unwrap();
    let driven = sandbox.tool("node", ["drive.mjs"]).args([server.url(), key]);
    let driven = driven.env("PATH", &path).current_dir(&folder).limit(LIMIT).run().ok();
    assert_eq!(driven.stdout_line(), "driven");
}
