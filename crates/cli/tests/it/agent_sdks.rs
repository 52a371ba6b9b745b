//! Unmodified SDKs for node, and a framework in Python, against the scripted provider.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::{provider, support};

/// Runs the script of an SDK, and checks the lines that it prints, and the number of its calls.
fn check(script: &str, providers: &[&str], expected: &[&str], calls: u64) {
    let Some(packages) = support::installed("node-clients") else { return };
    let mut sandbox = support::sandbox();
    sandbox.set_env("PATH", support::path_with_node(&packages.join("node_modules/.bin")));
    // node looks for packages above the script.
    let text = std::fs::read(provider::client("node").join(script)).unwrap();
    sandbox.write(script, text);
    let modules = sandbox.path("node_modules");
    std::os::unix::fs::symlink(packages.join("node_modules"), modules).unwrap();
    let ran = provider::run(&sandbox, providers, &["--", "node", script]).run().ok();
    let printed = ran.stdout();
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{}", ran.describe());
    let run = support::all(&sandbox).remove(0);
    assert_eq!(provider::check_requests(&sandbox, &run), calls, "{run}");
}

#[test]
fn the_sdk_of_openai_for_node_works_unmodified() {
    let expected = [
        "chat All is done. 1000",
        "chat stream All is done.",
        "chat tool {\"city\": \"Rome\"} All is done.",
        "responses All is done.",
        "responses stream All is done.",
    ];
    check("openai.mjs", &["openai"], &expected, 6);
}

#[test]
fn the_sdk_of_anthropic_for_node_works_unmodified() {
    let expected = [
        "messages All is done. 1000",
        "messages stream All is done.",
        "messages tool Rome All is done.",
        "count 1000",
    ];
    check("anthropic.mjs", &["anthropic"], &expected, 4);
}

#[test]
fn the_sdk_of_google_for_node_works_unmodified() {
    let expected =
        ["gemini All is done. 1000", "gemini stream All is done.", "gemini tool Rome All is done."];
    check("genai.mjs", &["google"], &expected, 4);
}

#[test]
fn the_ai_sdk_works_unmodified_with_three_formats() {
    let lines = |name: &str| {
        [
            format!("{name} All is done. 1000"),
            format!("{name} stream All is done."),
            format!("{name} tool sunny in Rome All is done."),
        ]
    };
    let lines: Vec<String> =
        ["responses", "chat", "messages"].into_iter().flat_map(lines).collect();
    let expected: Vec<&str> = lines.iter().map(String::as_str).collect();
    check("ai.mjs", &["openai", "anthropic"], &expected, 12);
}

#[test]
fn the_agents_sdk_of_openai_calls_models_and_tools_through_errand() {
    let Some(python) = support::python_of("frameworks") else { return };
    let sandbox = support::sandbox();
    let server = json!({
        "mcpServers": { "weather": { "command": python, "args": [provider::client("weather_server.py")] } },
    });
    sandbox.write("mcp.json", server.to_string());
    let (python, script) = (python.to_str().unwrap(), provider::client("openai_agents.py"));
    let words = ["--mcp", "mcp.json", "--", python, script.to_str().unwrap()];
    let ran = provider::run(&sandbox, &["openai"], &words).run().ok();
    let printed = ran.stdout();
    assert!(printed.contains("sunny in Rome"), "{}", ran.describe());
    let streamed = "stream ['agent_updated_stream_event', 'raw_response_event', \
                    'run_item_stream_event'] All is done.";
    assert!(printed.contains(streamed), "{printed}");
    let run = support::all(&sandbox).remove(0);
    assert_eq!(provider::check_requests(&sandbox, &run), 4, "{run}");
    assert_eq!(run["counters"]["tool_calls"], 2, "{run}");
}

#[test]
fn server_everything_answers_through_errand_with_each_sort_of_content() {
    let Some(python) = support::python_of("frameworks") else { return };
    let Some(packages) = support::installed("node-clients") else { return };
    let mut sandbox = support::sandbox();
    let programs = packages.join("node_modules/.bin");
    sandbox.set_env("PATH", support::path_with_node(&programs));
    let server = json!({
        "mcpServers": { "every": { "command": "mcp-server-everything", "args": ["stdio"] } },
    });
    sandbox.write("mcp.json", server.to_string());
    let words = ["run", "--mcp", "mcp.json", "--", python.to_str().unwrap()];
    let ran = sandbox.errand(words).arg(provider::client("everything.py")).limit(provider::LIMIT);
    let ran = ran.run().ok();
    let expected = [
        "listed True True",
        "echo ok text",
        "get-sum ok text",
        "get-sum failed text",
        "get-tiny-image ok text,image,text",
        "get-structured-content ok text conditions humidity temperature",
        "get-annotated-message ok text,image",
        "get-resource-links ok text,resource_link,resource_link",
        "get-resource-reference ok text,resource,text",
        "trigger-long-running-operation ok text",
        // Its server asks the client for a model, which is not passed on: the tool is not in the list.
        "trigger-sampling-request failed text",
        "given up 408",
        "Echo: still there",
    ];
    assert_eq!(ran.stdout().lines().collect::<Vec<_>>(), expected, "{}", ran.describe());
}

/// Scenarios of the suite about what errand offers: tools, without sampling, elicitation and progress.
const SCENARIOS: [&str; 11] = [
    "server-initialize",
    "ping",
    "tools-list",
    "tools-call-simple-text",
    "tools-call-image",
    "tools-call-audio",
    "tools-call-embedded-resource",
    "tools-call-mixed-content",
    "tools-call-error",
    "dns-rebinding-protection",
    "server-sse-multiple-streams",
];

/// Returns a node that the suite can run on; `None`, with a warning, if there is none.
fn node_22() -> Option<PathBuf> {
    let installed = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("openapi-clients/bin/node");
    let is_new = |node: &PathBuf| {
        let version = "process.exit(Number(process.versions.node.split('.')[0]) < 22 ? 1 : 0)";
        Command::new(node).args(["-e", version]).status().is_ok_and(|status| status.success())
    };
    let found = [installed, PathBuf::from("node")].into_iter().find(is_new);
    if found.is_none() {
        support::warn("the conformance suite of tool servers needs node 22");
    }
    found
}

#[test]
fn the_tool_gateway_conforms_to_the_suite_of_the_protocol() {
    let Some(python) = support::python_of("frameworks") else { return };
    let Some(packages) = support::installed("node-clients") else { return };
    let Some(node) = node_22() else { return };
    let sandbox = support::sandbox();
    let server = provider::client("conformance_server.py");
    // The suite calls `test_simple_text`: the tool `simple_text` of this server.
    let servers = json!({ "mcpServers": { "test": { "command": python, "args": [server] } } });
    sandbox.write("mcp.json", servers.to_string());
    let suite = packages.join("node_modules/@modelcontextprotocol/conformance/dist/index.js");
    let words = ["run", "--mcp", "mcp.json", "--", node.to_str().unwrap()];
    let ran = sandbox.errand(words).arg(provider::client("node/conformance.mjs")).arg(suite);
    let ran = ran.args(SCENARIOS).limit(provider::LIMIT).run().ok();
    let expected = SCENARIOS.map(|scenario| format!("{scenario} passed"));
    assert_eq!(ran.stdout().lines().collect::<Vec<_>>(), expected, "{}", ran.describe());
}
