//! Outputs of any size: stored whole, passed on whole, readable by authorised clients.

use errand_testkit::{ErrandServer, HttpRequest, Sandbox, TestAgent};
use serde_json::{Value, json};

use crate::coordinators::coordinator;
use crate::support::{finish, sandbox, start};

/// Returns an agent whose output is a document of about `kib` KiB, printed to stdout.
fn printing(kib: usize) -> TestAgent {
    TestAgent::python(&format!(
        "import json\nprint(json.dumps({{'rows': [{{'i': i, 'name': 'x' * 1000}} for i in range({kib})]}}))\n"
    ))
}

/// Returns that document as it is stored.
fn rows(kib: usize) -> Value {
    let rows: Vec<_> = (0..kib).map(|i| json!({ "i": i, "name": "x".repeat(1000) })).collect();
    json!({ "rows": rows })
}

/// Returns what `errand output` prints of a run.
fn output(sandbox: &Sandbox, run_id: &str) -> Vec<u8> {
    sandbox.errand(["output", run_id]).run().ok().stdout().into_bytes()
}

#[test]
fn an_output_of_any_size_is_stored_and_passed_on_whole() {
    let sandbox = sandbox();
    // One that is held in memory as a document, and one that is too large for that.
    for kib in [300, 3000] {
        let run_id = start(&sandbox, &sandbox.agent(&printing(kib)), &[]);
        assert_eq!(finish(&sandbox, &run_id)["status"], "completed");
        let found: Value = serde_json::from_slice(&output(&sandbox, &run_id)).unwrap();
        assert_eq!(found, rows(kib));
        let shown = sandbox.errand(["inspect-run", &run_id]).run().ok().json();
        assert_eq!(shown["output"], rows(kib));
    }
    sandbox.agent(&printing(300).named("big"));
    sandbox.agent(&TestAgent::shell("wc -c").named("count"));
    let chain = coordinator(&sandbox, "chain", "{ type: chain, agents: [../big, ../count] }", "");
    let record = sandbox.errand(["run", "--json"]).arg(chain).run().ok().json();
    assert_eq!(record["output"], length_given(&rows(300)));
    let both = "{ type: fan_out, agents: [../big, ../count] }";
    let both = coordinator(&sandbox, "both", both, "");
    let record = sandbox.errand(["run", "--json"]).arg(both).run().ok().json();
    assert_eq!(record["output"], json!({ "big": rows(300), "count": 0 }));
    let text = TestAgent::shell("head -c 2000000 /dev/zero | tr '\\0' 'y'");
    let run_id = start(&sandbox, &sandbox.agent(&text), &[]);
    finish(&sandbox, &run_id);
    assert_eq!(output(&sandbox, &run_id), vec![b'y'; 2_000_000]);
}

#[test]
fn an_output_above_the_limit_fails_with_a_code_of_its_own() {
    let sandbox = sandbox();
    for script in [
        "head -c 3000 /dev/zero",
        "printf '\"%03000d\"' 7 >\"$ERRAND_OUTPUT\"",
        "head -c 2000 /dev/zero | tr '\\0' 'y' | errand agent output - || exit 9",
    ] {
        let agent = sandbox.agent(&TestAgent::shell(script));
        let command = sandbox.errand(["run", "--json"]).arg(&agent).env("ERRAND_MAX_OUTPUT", "1Ki");
        let ran = command.run();
        let record = ran.json();
        if script.ends_with("exit 9") {
            assert_eq!(record["exit_code"], 9, "{record:#}");
            assert!(ran.stderr().contains("error[output_too_large]"), "{}", ran.describe());
            continue;
        }
        assert_eq!(record["status"], "failed", "{script}: {record:#}");
        assert_eq!(record["last_error"]["code"], "output_too_large", "{record:#}");
        let message = record["last_error"]["message"].as_str().unwrap();
        assert!(message.contains("more than 1024 bytes"), "{message}");
        assert_eq!(record["output"], Value::Null);
    }
    let quiet =
        sandbox.agent(&TestAgent::shell("head -c 3000 /dev/zero; echo 1 >\"$ERRAND_OUTPUT\""));
    let ran = sandbox.errand(["run", "--json"]).arg(quiet).env("ERRAND_MAX_OUTPUT", "1Ki");
    assert_eq!(ran.run().ok().json()["output"], 1);
}

/// Returns the length of a document as an agent gets it.
fn length_given(document: &Value) -> usize {
    document.to_string().len()
}

/// Starts a server, and pushes agents to it.
fn serving(sandbox: &Sandbox, agents: &[TestAgent]) -> ErrandServer {
    let server = ErrandServer::start(sandbox, &[]);
    for agent in agents {
        drop(server.push(&sandbox.agent(agent)).expect(201));
    }
    server
}

fn wait(server: &ErrandServer, agent: &str, input: &Value) -> Value {
    server.post("/v1/runs/wait", &json!({ "agent": agent, "input": input })).expect(200).json()
}

#[test]
fn readers_of_a_run_get_its_values_or_a_working_link() {
    let sandbox = sandbox();
    let agents = [printing(300).named("big"), printing(3000).named("huge")];
    let server = serving(&sandbox, &agents);
    // Short enough for a response about one run.
    let long_text = "z".repeat(40_000);
    let big = wait(&server, "big", &json!(long_text));
    assert_eq!((&big["output"], &big["input"]), (&rows(300), &json!(long_text)));
    let page = server.get("/v1/runs").expect(200).json();
    let link = page["runs"][0]["output"]["$blob"]["href"].as_str().unwrap().to_owned();
    assert_eq!(server.get(&link).expect(200).json(), rows(300));
    // Too long for such a response.
    let huge = wait(&server, "huge", &json!("x"));
    let run_id = huge["run_id"].as_str().unwrap();
    let blob = &huge["output"]["$blob"];
    assert_eq!(blob["encoding"], "json", "{huge:#}");
    let answer = server.get(blob["href"].as_str().unwrap()).expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), rows(3000));
    assert_eq!(server.get(&format!("/v1/runs/{run_id}/output")).expect(200).json(), rows(3000));
    let part = HttpRequest::new("GET", &format!("/v1/runs/{run_id}/output"));
    assert_eq!(server.send(&part.header("Range", "bytes=1-6")).expect(206).body, "\"rows\"");
    assert_eq!(server.get(&format!("/v1/runs/{run_id}/input")).expect(200).body, "x");
    let path = |digest: &str| format!("/v1/runs/{run_id}/blobs/{digest}");
    let other = page["runs"][0]["output"]["$blob"]["digest"].as_str().unwrap();
    let refused = server.get(&path(other)).expect(404).json();
    assert_eq!(refused["code"], "blob_not_found", "{refused:#}");
    assert_eq!(server.get(&path("sha256:xyz")).expect(400).json()["code"], "parameter_invalid");
    for place in [&["--server", server.url().as_str()][..], &[]] {
        let errand = |words: &[&str]| sandbox.errand(place).args(words).run().ok();
        assert_eq!(errand(&["inspect-run", run_id]).json()["output"], rows(3000));
        assert_eq!(errand(&["wait", "--json", run_id]).json()[0]["output"], rows(3000));
        assert_eq!(errand(&["output", run_id]).json(), rows(3000));
        assert_eq!(errand(&["output", run_id, "--input"]).stdout(), "x");
        let digest = blob["digest"].as_str().unwrap();
        assert_eq!(errand(&["output", run_id, "--blob", digest]).json(), rows(3000));
        let none = sandbox.errand(place).args(["output", run_id, "--blob", other]).run();
        assert!(none.stderr().contains("error[blob_not_found]"), "{}", none.describe());
    }
}

#[test]
fn an_input_has_the_same_bytes_over_every_interface() {
    let sandbox = sandbox();
    let server =
        serving(&sandbox, &[TestAgent::shell("cat >out; errand agent artifact out").named("cat")]);
    let bytes =
        |run_id: &str| server.get(&format!("/v1/runs/{run_id}/artifacts/out")).expect(200).body;
    for (input, expect) in [
        (json!("hello"), "hello"),
        (json!("42"), "42"),
        (json!("\"quoted\""), "\"quoted\""),
        (json!("{\"a\": 1}"), "{\"a\": 1}"),
        (json!({ "b": [1, 2.0], "a": null }), "{\"a\":null,\"b\":[1,2]}"),
        (json!(42), "42"),
        (json!(true), "true"),
    ] {
        let run = wait(&server, "cat", &input);
        assert_eq!(bytes(run["run_id"].as_str().unwrap()), expect, "{input}");
    }
    // Typed bytes stay unchanged, here and over a server.
    for typed in ["hello", "\"hello\"", "42 ", "{\"b\": 1, \"a\": 2}"] {
        let url = server.url();
        let words = ["--server", &url, "run", "cat", "--json", "--job", typed];
        let there = sandbox.errand(words).run().ok().json();
        assert_eq!(bytes(there["run_id"].as_str().unwrap()), typed);
        let agent =
            sandbox.agent(&TestAgent::shell("cat >out; errand agent artifact out").named("cat"));
        let here = sandbox.errand(["run", "--json", "--job", typed]).arg(agent).run().ok().json();
        assert_eq!(bytes(here["run_id"].as_str().unwrap()), typed);
        assert_eq!(here["input"], there["input"]);
    }
    // Items of a list, and outputs of other agents.
    sandbox.agent(&TestAgent::shell("base64 -w0").named("raw"));
    sandbox.agent(&TestAgent::shell("printf '\"hello\"'").named("quoting"));
    let parts = "{ type: fan_out, agents: [../raw], partition: items, aggregation: collect }";
    let parts = coordinator(&sandbox, "parts", parts, "");
    let given = "{\"items\": [\"hello\", \"42\", {\"b\": 1, \"a\": \"x\"}, 7]}";
    let ran = sandbox.errand(["run", "--json", "--job", given]).arg(parts).run().ok().json();
    // Decoded: hello, 42, {"a":"x","b":1}, 7
    assert_eq!(ran["output"], json!(["aGVsbG8=", "NDI=", "eyJhIjoieCIsImIiOjF9", "Nw=="]));
    let chain = coordinator(&sandbox, "next", "{ type: chain, agents: [../quoting, ../raw] }", "");
    let ran = sandbox.errand(["run", "--json"]).arg(chain).run().ok().json();
    assert_eq!(ran["output"], "aGVsbG8=");
}

#[test]
fn the_output_of_a_steps_command_is_text_even_if_it_parses_as_json() {
    let sandbox = sandbox();
    let script = "errand agent step two -- echo 2; errand agent step part -- echo 24%; \
                  errand agent step doc -- echo '{}'";
    let server = serving(&sandbox, &[TestAgent::shell(script).named("steps")]);
    let run = wait(&server, "steps", &json!("x"));
    let run_id = run["run_id"].as_str().unwrap();
    let steps = server.get(&format!("/v1/runs/{run_id}/steps")).expect(200).json();
    let outputs: Vec<_> =
        steps["steps"].as_array().unwrap().iter().map(|step| step["output"].clone()).collect();
    assert_eq!(outputs, [json!("{}\n"), json!("24%\n"), json!("2\n")]);
}
