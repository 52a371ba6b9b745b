//! Tool calls through errand: unmodified clients, and tool servers over the real protocol.

use std::path::PathBuf;
use std::time::Duration;

use errand_testkit::podman::{IMAGE, Podman};
use errand_testkit::{LIMIT, ProgramOutput, Sandbox, TestAgent, wait_until};
use serde_json::{Value, json};

use crate::support;

const SDK_SERVER: &str = include_str!("tools/sdk_server.py");
const SDK_CLIENT: &str = include_str!("tools/sdk_client.py");
const SERVER: &str = include_str!("tools/server.py");
const CLIENT: &str = include_str!("tools/client.py");
/// Secret of the server, which the agent must never see.
const TOKEN: &str = "tool-token-0123456789";

fn sandbox() -> Sandbox {
    let mut sandbox = support::sandbox();
    sandbox.set_env("TOKEN", TOKEN);
    sandbox.write("server.py", SERVER);
    sandbox.write("client.py", CLIENT);
    sandbox.write("agent/server.py", SERVER);
    sandbox.write("agent/client.py", CLIENT);
    sandbox
}

/// Writes a file for `--mcp` with one server, `plain`, and variables for it.
fn mcp_file(sandbox: &Sandbox, env: &[(&str, &str)]) {
    let mut variables = json!({ "TOKEN": "${TOKEN}", "CALLS": sandbox.path("calls") });
    for (name, value) in env {
        variables[name] = json!(value);
    }
    let file = json!({ "mcpServers": { "plain": {
        "command": "python3", "args": ["server.py"], "env": variables,
    } } });
    sandbox.write("mcp.json", file.to_string());
}

/// Runs the client with these requests and the servers of `mcp.json`.
fn run(sandbox: &Sandbox, requests: &[&str]) -> ProgramOutput {
    let words = ["run", "--mcp", "mcp.json", "--", "python3", "client.py"];
    sandbox.errand(words).args(requests).run()
}

/// Writes an agent that sends these requests, and returns its folder. `server` has more members of
/// its server, and `more` more lines of its file.
fn agent(sandbox: &Sandbox, (server, more): (&str, &str), requests: &[&str]) -> PathBuf {
    let command = json!(["python3", "client.py"].iter().chain(requests).collect::<Vec<_>>());
    let calls = sandbox.path("calls");
    sandbox.write(
        "agent/agent.yaml",
        format!(
            "apiVersion: errand.dev/v1\nkind: Agent\nmetadata: {{ name: caller }}\nspec:\n  \
             command: {command}\n  mcp_servers:\n    - name: plain\n      command: [python3, \
             server.py]\n      env: {{ TOKEN: {{ secret: TOKEN }}, CALLS: \"{}\" }}\n{server}{more}",
            calls.display()
        ),
    );
    sandbox.path("agent")
}

fn only_run(sandbox: &Sandbox) -> String {
    sandbox.errand(["ps", "-aq"]).run().ok().stdout().trim().to_owned()
}

fn events(sandbox: &Sandbox, id: &str) -> Vec<Value> {
    sandbox.errand(["events", id, "--json"]).run().ok().json_lines()
}

fn of_type<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["type"] == kind).map(|event| &event["data"]).collect()
}

/// Returns the calls that reached the server.
fn calls(sandbox: &Sandbox) -> Vec<Value> {
    let lines = std::fs::read_to_string(sandbox.path("calls")).unwrap_or_default();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_tool_call_of_any_program_is_a_step_with_its_arguments() {
    let sandbox = sandbox();
    mcp_file(&sandbox, &[]);
    let ran = run(&sandbox, &["list", "plain_echo {\"a\": 1}", "plain_fail", "other"]).ok();
    let printed = ran.stdout();
    let lines: Vec<&str> = printed.lines().collect();
    let names =
        "['plain_die', 'plain_echo', 'plain_fail', 'plain_huge', 'plain_slow', 'plain_write']";
    assert_eq!(lines[0], names);
    assert_eq!(lines[1], "ok echo {\"a\": 1} [redacted:TOKEN]");
    assert_eq!(lines[2], "error no such thing (-32602)");
    assert_eq!(lines[3], "error there is no tool \"other\"");
    let id = only_run(&sandbox);
    let events = events(&sandbox, &id);
    let called = of_type(&events, "tool.called");
    assert_eq!(called.len(), 2, "{called:?}");
    for (name, expect) in [
        ("name", json!("plain_echo")),
        ("server", json!("plain")),
        ("tool", json!("echo")),
        ("arguments", json!({ "a": 1 })),
        ("success", json!(true)),
        ("side_effect", json!("read_only")),
    ] {
        assert_eq!(called[0][name], expect, "{name}: {}", called[0]);
    }
    assert_eq!(called[1]["success"], false);
    let completed = of_type(&events, "step.completed");
    assert!(completed.iter().any(|step| step["key"] == called[0]["step"]));
    let journal = serde_json::to_string(&events).unwrap();
    assert!(!journal.contains(TOKEN), "the secret is in the journal");
    assert_eq!(support::record(&sandbox, &id)["counters"]["tool_calls"], 2);
    let shown = sandbox.errand(["calls", &id]).run().ok().stdout();
    assert!(shown.contains("plain_echo  {\"a\":1}  ok  read_only  took="), "{shown}");
    let drawn = sandbox.errand(["trace", &id]).run().ok().stdout();
    assert!(drawn.contains("─ tool plain_echo") && !drawn.contains("tool/plain_echo"), "{drawn}");
    let log = sandbox.errand(["logs", "--system", &id]).run().ok();
    let log = log.stdout() + &log.stderr();
    assert!(log.contains("[plain] ready with [redacted:TOKEN]"), "{log}");
}

#[test]
fn a_foreign_token_is_refused() {
    let sandbox = sandbox();
    mcp_file(&sandbox, &[]);
    let words = ["run", "--mcp", "mcp.json", "--env", "KEY=other", "--"];
    let ran = sandbox.errand(words).args(["python3", "client.py", "plain_echo"]).run().ok();
    assert_eq!(ran.stdout(), "ok {\"status\": 401}\n");
    assert!(calls(&sandbox).is_empty());
}

#[test]
fn the_next_attempt_is_served_the_recorded_results() {
    let sandbox = sandbox();
    let retry = "  env: { FAIL: \"1\" }\n  retry_policy: { max_retries: 1, initial_delay: 0s }\n";
    let requests = ["list", "plain_echo", "plain_write {\"x\": 2}", "plain_echo"];
    let ran = sandbox.errand(["run"]).arg(agent(&sandbox, ("", retry), &requests)).run().ok();
    let lines: Vec<String> = ran.stdout().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 8, "{}", ran.stdout());
    assert_eq!(lines[0], lines[4]);
    assert!(lines[5].starts_with("ok echo {} "), "{}", lines[5]);
    assert_eq!(calls(&sandbox).len(), 3, "each call is made once");
}

#[test]
fn a_call_whose_helper_is_killed_is_made_again_only_if_that_is_safe() {
    let sandbox = sandbox();
    let retry = "  retry_policy: { max_retries: 1, initial_delay: 0s }\n";
    let requests = ["plain_echo", "plain_write {\"hang\": true}", "plain_write {\"hang\": true}"];
    let path = agent(&sandbox, ("", retry), &requests);
    let id = sandbox.errand(["run", "-d"]).arg(path).run().ok().stdout_line();
    wait_until("the call reached the server", LIMIT, || calls(&sandbox).len() == 2);
    support::kill(&support::record(&sandbox, &id)["pid"]);
    assert_eq!(sandbox.errand(["wait", &id]).run().ok().stdout_line(), "0");
    let log = support::log(&sandbox, &id);
    assert!(log.contains("its effect may have happened"), "{log}");
    let made: Vec<String> = calls(&sandbox).iter().map(|call| call[0].to_string()).collect();
    assert_eq!(made, ["\"echo\"", "\"write\"", "\"write\""], "the third is the second request");
    let events = events(&sandbox, &id);
    let failed = of_type(&events, "step.failed");
    let codes: Vec<&Value> = failed.iter().map(|step| &step["error"]["code"]).collect();
    assert_eq!(codes, ["helper_died", "interrupted_effect"], "{failed:?}");
    let called = of_type(&events, "tool.called");
    assert_eq!(called.len(), 3, "the call that was cut off counts once: {called:?}");
    assert_eq!((&called[1]["success"], &called[1]["name"]), (&json!(false), &json!("plain_write")));
    assert_eq!(called[1]["arguments"], json!({"hang": true}));
    support::nobody_left(&sandbox);
}

#[test]
fn a_call_that_only_reads_is_made_again_after_its_helper_was_killed() {
    let sandbox = sandbox();
    let retry = "  retry_policy: { max_retries: 1, initial_delay: 0s }\n";
    let effects = "      effects: { \"wr*\": read_only }\n";
    let path = agent(&sandbox, (effects, retry), &["plain_write {\"hang\": true}"]);
    // The server hangs once: the second attempt has the same workspace.
    let id = sandbox.errand(["run", "-d"]).arg(path).run().ok().stdout_line();
    wait_until("the call reached the server", LIMIT, || calls(&sandbox).len() == 1);
    support::kill(&support::record(&sandbox, &id)["pid"]);
    assert_eq!(sandbox.errand(["wait", &id]).run().ok().stdout_line(), "0");
    assert_eq!(calls(&sandbox).len(), 2);
    let events = events(&sandbox, &id);
    let failed = of_type(&events, "step.failed");
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["error"]["code"], "helper_died");
    assert_eq!(of_type(&events, "tool.called").len(), 2);
}

#[test]
fn a_server_that_does_not_start_fails_the_run_with_its_stderr() {
    for (bad, expect) in [
        ("exit", "cannot read the token [redacted:TOKEN]"),
        ("noise", "more than 100 lines that are no messages"),
    ] {
        let sandbox = sandbox();
        mcp_file(&sandbox, &[("BAD", bad)]);
        let ran = run(&sandbox, &["list"]);
        assert_ne!(ran.code, Some(0), "{}", ran.describe());
        let record = support::record(&sandbox, &only_run(&sandbox));
        assert_eq!(record["last_error"]["code"], "tool_server_failed", "{record}");
        let message = record["last_error"]["message"].to_string();
        assert!(message.contains(expect), "{message}");
    }
    let sandbox = sandbox();
    mcp_file(&sandbox, &[("BAD", "twice")]);
    let ran = run(&sandbox, &["list"]);
    assert_ne!(ran.code, Some(0), "{}", ran.describe());
    let record = support::record(&sandbox, &only_run(&sandbox));
    assert_eq!(record["last_error"]["code"], "tool_name_taken", "{record}");
}

#[test]
fn a_server_that_dies_in_a_call_is_started_again_for_the_next_one() {
    let sandbox = sandbox();
    mcp_file(&sandbox, &[]);
    let ran = run(&sandbox, &["plain_die", "plain_echo", "plain_huge", "plain_echo"]).ok();
    let printed = ran.stdout();
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("error the tool server plain did not answer"), "{}", lines[0]);
    assert!(lines[1].starts_with("ok echo"), "{}", lines[1]);
    assert!(lines[2].contains("a message of more than"), "{}", lines[2]);
    assert!(lines[3].starts_with("ok echo"), "{}", lines[3]);
    let events = events(&sandbox, &only_run(&sandbox));
    assert_eq!(of_type(&events, "step.failed")[0]["error"]["code"], "tool_call_failed");
}

#[test]
fn a_server_without_sessions_is_understood() {
    let sandbox = sandbox();
    mcp_file(&sandbox, &[("BAD", "stateless")]);
    let ran = run(&sandbox, &["plain_echo"]).ok();
    assert!(ran.stdout().starts_with("ok echo {}"), "{}", ran.stdout());
}

#[test]
fn a_slow_call_ends_at_its_time_limit() {
    let sandbox = sandbox();
    let path = agent(&sandbox, ("      timeout: 200ms\n", ""), &["plain_slow", "plain_echo"]);
    let ran = sandbox.errand(["run"]).arg(path).run().ok();
    let printed = ran.stdout();
    assert!(printed.contains("did not answer the call of slow: it did not answer"), "{printed}");
}

#[test]
fn an_agent_that_only_starts_servers_has_the_tools_on_stdio() {
    let sandbox = sandbox();
    mcp_file(&sandbox, &[]);
    let script = r#"
printf '%s\n' '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}' \
  '{"jsonrpc":"2.0","method":"notifications/initialized"}' \
  '{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"plain_echo","arguments":{}}}' \
  'nonsense' | errand agent mcp
"#;
    let ran = sandbox.errand(["run", "--mcp", "mcp.json", "--", "sh", "-c", script]).run().ok();
    let answers = ran.json_lines();
    let find = |id: Value| answers.iter().find(|answer| answer["id"] == id).unwrap().clone();
    assert_eq!(find(json!(1))["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(find(json!("b"))["result"]["structuredContent"], json!({ "n": 1.5 }));
    assert_eq!(find(Value::Null)["error"]["code"], -32700);
}

#[test]
fn policies_hide_deny_and_change_tools() {
    let sandbox = sandbox();
    let policy = "  policy: { tools: { deny: [plain_die, { name: write, when: { arguments.x: \
                  \"1\" } }] } }\n";
    let requests = ["list", "plain_die", "plain_write {\"x\": 1}", "plain_write {\"x\": 2}"];
    let ran = sandbox.errand(["run"]).arg(agent(&sandbox, ("", policy), &requests)).run().ok();
    let printed = ran.stdout();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "['plain_echo', 'plain_fail', 'plain_huge', 'plain_slow', 'plain_write']");
    assert!(lines[1].starts_with("error the policy agent-file denies it"), "{}", lines[1]);
    assert!(lines[2].starts_with("error the policy agent-file denies it"), "{}", lines[2]);
    assert!(lines[3].starts_with("ok write"), "{}", lines[3]);
    assert_eq!(calls(&sandbox), [json!(["write", { "x": 2 }])]);
}

#[test]
fn a_call_that_a_person_decides_late_parks_the_run_and_is_made_by_the_next_attempt() {
    let sandbox = sandbox();
    let policy = "  policy: { tools: { ask: [write] } }\n";
    let server = "      timeout: 300ms\n";
    let requests = ["plain_echo", "plain_write {\"x\": 1}", "plain_write {\"x\": 2}"];
    let path = agent(&sandbox, (server, policy), &requests);
    let id = sandbox.errand(["run", "-d"]).arg(path).run().ok().stdout_line();
    for answer in ["approve", "reject"] {
        support::wait_for_record(&sandbox, &id, "the run is parked", |record| {
            record["status"] == "paused"
                && record["attempts"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|attempt| attempt["status"] == "stopped")
        });
        drop(sandbox.errand([answer, &id]).run().ok());
    }
    assert_eq!(sandbox.errand(["wait", &id]).run().ok().stdout_line(), "0");
    let log = sandbox.errand(["logs", &id]).run().ok().stdout();
    assert!(log.contains("ok write {\"x\": 1}"), "{log}");
    assert!(log.contains("rejected it"), "{log}");
    let made: Vec<Value> = calls(&sandbox);
    assert_eq!(made, [json!(["echo", {}]), json!(["write", { "x": 1 }])]);
}

#[test]
fn a_strict_replay_serves_the_record_and_starts_no_server() {
    let sandbox = sandbox();
    let requests = ["list", "plain_echo", "plain_write {\"x\": 2}", "plain_fail"];
    let path = agent(&sandbox, ("", ""), &requests);
    let first = sandbox.errand(["run"]).arg(path).run().ok();
    let id = only_run(&sandbox);
    let again = sandbox.errand(["replay", &id, "--policy", "strict"]).run().ok();
    assert!(again.stdout().contains("is identical with run"), "{}", again.stdout());
    assert_eq!(first.stdout().lines().count(), 4);
    assert_eq!(calls(&sandbox).len(), 3, "the replay calls nothing");
}

#[test]
fn a_file_of_tool_servers_that_cannot_be_used_is_refused() {
    let sandbox = sandbox();
    for (file, expect) in [
        ("{\"mcpServers\": {\"a\": {\"type\": \"sse\", \"url\": \"http://x\"}}}", "transport sse"),
        ("{\"mcpServers\": {\"a\": {\"type\": \"pigeon\"}}}", "transport \"pigeon\""),
        ("{\"mcpServers\": {\"a\": {\"command\": \"b\", \"cwd\": \"/\"}}}", "member \"cwd\""),
        ("{\"other\": {}}", "neither mcpServers nor mcp_servers"),
        ("{", "mcp.json is not JSON: EOF"),
        (
            "{\"mcpServers\": {\"a b\": {\"command\": \"c\"}}}",
            "--mcp mcp.json: mcp_servers[0].name: ",
        ),
    ] {
        sandbox.write("mcp.json", file);
        let ran = run(&sandbox, &["list"]).exits(2);
        assert!(ran.stderr().contains(expect), "{file}: {}", ran.stderr());
        assert!(!ran.stderr().contains("errand-agent-"), "{file}: {}", ran.stderr());
    }
    mcp_file(&sandbox, &[]);
    let words = ["run", "--mcp", "mcp.json", "--", "true"];
    let ran = sandbox.errand(words).env_remove("TOKEN").run();
    assert!(ran.stderr().contains("secret_missing"), "{}", ran.stderr());
    assert_eq!(sandbox.errand(["ps", "-aq"]).run().ok().stdout(), "");
}

/// Returns the Python of the SDK, which `cargo xtask test` installs; `None`, with a warning, if it is
/// missing.
fn sdk_python() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("tool-sdks");
    if folder.join("ready").is_file() {
        return Some(folder.join("bin/python"));
    }
    let warning = "\nSKIPPED: there is no SDK of tool servers; `cargo xtask test` installs it\n";
    // Written past the capture of a passing test's output, so that it is seen.
    drop(std::fs::write("/dev/stderr", warning));
    None
}

/// Checks the output of the client of the SDK: each way to the tools, in both versions.
fn check_sdk_client(sandbox: &Sandbox, python: &std::path::Path) {
    sandbox.write("sdk_client.py", SDK_CLIENT);
    let words = ["run", "--mcp", "mcp.json", "--", &python.display().to_string(), "sdk_client.py"];
    let ran = sandbox.errand(words).limit(Duration::from_mins(3)).run().ok();
    let line = |version: &str| {
        format!(
            "{version} ['sdk_add', 'sdk_fail'] {{'result': 3}} True Error executing tool fail\n"
        )
    };
    let expect = [line("2026-07-28"), line("2025-11-25")].map(|line| line.repeat(2)).concat();
    assert_eq!(ran.stdout(), expect, "{}", ran.describe());
    let events = events(sandbox, &only_run(sandbox));
    assert_eq!(of_type(&events, "tool.called").len(), 8);
}

#[test]
fn a_server_and_a_client_of_the_python_sdk_work_over_stdio() {
    let Some(python) = sdk_python() else { return };
    let sandbox = sandbox();
    sandbox.write("sdk_server.py", SDK_SERVER);
    let server = json!({ "command": python, "args": ["sdk_server.py"] });
    sandbox.write("mcp.json", json!({ "mcpServers": { "sdk": server } }).to_string());
    check_sdk_client(&sandbox, &python);
}

#[test]
fn a_server_of_the_python_sdk_is_reached_over_http() {
    let Some(python) = sdk_python() else { return };
    let sandbox = sandbox();
    sandbox.write("sdk_server.py", SDK_SERVER);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let serve = sandbox.tool(&python, ["sdk_server.py", &port.to_string()]).spawn();
    let is_up = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    wait_until("the server listens", Duration::from_mins(1), is_up);
    let url = format!("http://127.0.0.1:{port}/mcp");
    let server = json!({ "type": "http", "url": url, "headers": { "X-Token": "${TOKEN}" } });
    sandbox.write("mcp.json", json!({ "mcpServers": { "sdk": server } }).to_string());
    check_sdk_client(&sandbox, &python);
    drop(serve);
}

#[test]
fn the_missing_program_of_a_tool_server_is_not_the_agents() {
    let sandbox = sandbox();
    let file = json!({ "mcpServers": { "files": { "command": "nosuch" } } });
    sandbox.write("mcp.json", file.to_string());
    let ran = run(&sandbox, &["list"]);
    let said = ran.stderr();
    let expect = "the tool server files cannot be started: the program \"nosuch\" was not found";
    assert!(said.contains(expect), "{said}");
}

#[test]
fn an_address_without_a_tool_server_fails_the_run() {
    let sandbox = sandbox();
    let server = json!({ "type": "http", "url": "http://127.0.0.1:9/mcp" });
    sandbox.write("mcp.json", json!({ "mcpServers": { "none": server } }).to_string());
    let ran = run(&sandbox, &["list"]);
    assert_ne!(ran.code, Some(0), "{}", ran.describe());
    let record = support::record(&sandbox, &only_run(&sandbox));
    assert_eq!(record["last_error"]["code"], "tool_server_failed", "{record}");
}

#[test]
fn an_agent_in_a_container_without_a_network_calls_its_tools() {
    let Some(podman) = Podman::shared() else { return };
    let mut sandbox = sandbox();
    sandbox.set_env("DOCKER_HOST", podman.address());
    sandbox.write("server.py", SERVER);
    let call = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"plain_echo\"}}";
    let script = format!(
        "wget -q -O - --header \"authorization: Bearer $ERRAND_MCP_TOKEN\" --header \
         'content-type: application/json' --post-data '{call}' \"$ERRAND_MCP_URL\"\n\
         echo\necho '{call}' | errand agent mcp\n"
    );
    let target = format!("target: {{ type: container, image: '{IMAGE}', network: none }}");
    let server = format!(
        "mcp_servers: [{{ name: plain, command: [python3, '{}'] }}]",
        sandbox.path("server.py").display()
    );
    let agent = TestAgent::shell(&script).spec(&target).spec(&server).write_below(&sandbox.repo());
    let ran = sandbox.errand(["run"]).arg(agent).run().ok();
    let answers = ran.json_lines();
    assert_eq!(answers.len(), 2, "{}", ran.describe());
    for answer in answers {
        assert_eq!(answer["result"]["content"][0]["text"], "echo {} ", "{answer}");
    }
}
