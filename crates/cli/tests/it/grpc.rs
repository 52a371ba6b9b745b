//! The run service over gRPC, called by a client that Python's tools generated from the definition.

use std::path::{Path, PathBuf};

use errand_testkit::{ErrandServer, LIMIT, Sandbox, TestAgent, wait_until};
use serde_json::{Value, json};

use crate::access::key;
use crate::output_parts::CLIENT;
use crate::support::sandbox;

/// A server, and a client for it.
struct World {
    sandbox: Sandbox,
    server: ErrandServer,
    python: PathBuf,
    generated: PathBuf,
}

impl World {
    /// Returns `None`, with a warning, if the client is missing.
    fn new(agents: &[TestAgent]) -> Option<Self> {
        let python = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("grpc/bin/python");
        if !python.parent().is_some_and(|bin| bin.join("../ready").is_file()) {
            let warning =
                "SKIPPED: there is no gRPC client of Python; `cargo xtask test` installs it";
            // Written past the capture of a passing test's output, so that it is seen.
            drop(std::fs::write("/dev/stderr", format!("\n{warning}\n")));
            return None;
        }
        let sandbox = sandbox();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let proto = root.join("../gateway/proto");
        let generated = sandbox.path("generated");
        std::fs::create_dir(&generated).unwrap();
        let made = sandbox
            .tool(&python, ["-m", "grpc_tools.protoc"])
            .arg(format!("-I{}", proto.display()))
            .arg(format!("--python_out={}", generated.display()))
            .arg(format!("--grpc_python_out={}", generated.display()))
            .arg("errand/v1/runs.proto");
        drop(made.run().ok());
        let server = ErrandServer::start(&sandbox, &[]);
        for agent in agents {
            let answer = server.push(&sandbox.agent(agent));
            assert!(answer.status < 300, "{answer:?}");
        }
        Some(Self { sandbox, server, python, generated })
    }

    fn command(&self, words: &[&str]) -> errand_testkit::Command<'_> {
        let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/grpc/client.py");
        self.sandbox
            .tool(&self.python, [client.as_os_str()])
            .arg(self.server.address())
            .arg(&self.generated)
            .args(words)
    }

    /// Returns all lines that the client prints, as JSON.
    fn all(&self, words: &[&str]) -> Vec<Value> {
        self.command(words).run().ok().json_lines()
    }

    /// Returns the only line that the client prints.
    fn one(&self, words: &[&str]) -> Value {
        let mut all = self.all(words);
        assert_eq!(all.len(), 1, "{words:?}: {all:?}");
        all.remove(0)
    }

    fn events(&self, run_id: &str) -> Vec<Value> {
        self.sandbox.errand(["events", run_id, "--json"]).run().ok().json_lines()
    }
}

fn told(items: &[Value]) -> Vec<(u64, String)> {
    let events = items.iter().filter(|item| item["event"].is_string());
    events
        .map(|item| (item["seq"].as_u64().unwrap(), item["event"].as_str().unwrap().to_owned()))
        .collect()
}

fn shown(events: &[Value]) -> Vec<(u64, String)> {
    events
        .iter()
        .map(|event| (event["seq"].as_u64().unwrap(), event["type"].as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn a_run_is_started_watched_and_watched_again_from_the_middle() {
    let script = format!(
        "{CLIENT}\nprint('hello', flush=True)\n\
         for n in range(5): call('POST', f'/steps/s{{n}}/begin', {{}}); \
         call('POST', f'/steps/s{{n}}/complete', {{'output': n}})\n\
         say('some text')\ncall('PUT', '/output', {{'output': {{'n': 5}}}})\n"
    );
    let Some(world) = World::new(&[TestAgent::python(&script).named("teller")]) else { return };
    let created = world.one(&["create", "teller", r#"{"a": 1}"#]);
    assert_eq!(created["again"], created["run_id"], "the same key, the same run");
    assert_eq!(created["labels"], json!({ "by": "grpc" }));
    assert_eq!((&created["agent"], &created["namespace"]), (&json!("teller"), &json!("default")));
    let run_id = created["run_id"].as_str().unwrap();
    let whole = world.all(&["stream", run_id, "0", "0"]);
    let end = whole.last().unwrap();
    assert_eq!((&end["end"], &end["status"]), (&json!("over"), &json!("completed")), "{end}");
    let journal = world.events(run_id);
    assert_eq!(told(&whole), shown(&journal));
    assert_eq!(end["seq"], journal.len());
    let rest = world.server.get(&format!("/v1/runs/{run_id}")).expect(200).json();
    assert_eq!(end["record"], rest, "the record is REST's");
    for (after, most) in [(0, 3), (3, 2), (5, 0)] {
        let (after, most) = (after.to_string(), most.to_string());
        let part = world.all(&["stream", run_id, &after, &most]);
        let from: usize = after.parse().unwrap();
        let to = if most == "0" { journal.len() } else { from + most.parse::<usize>().unwrap() };
        assert_eq!(told(&part), shown(&journal[from..to]), "after {after}");
    }
    let waited = world.one(&["wait", run_id, "30s"]);
    assert_eq!((&waited["status"], &waited["output"]), (&json!("completed"), &json!(r#"{"n":5}"#)));
    assert_eq!(world.one(&["get", run_id])["record"], rest);
    let other = world.all(&["create-and-stream", "teller", "7", "0", "stay"]);
    assert_eq!(told(&other)[0], (1, "run.created".to_owned()));
    // An agent without buffering writes a line and its end separately.
    let log: String = other.iter().filter_map(|item| item["log"].as_str()).collect();
    assert!(log.contains("hello\n"), "{other:?}");
    assert_eq!(other.last().unwrap()["status"], "completed");
}

#[test]
fn runs_are_paused_resumed_approved_and_cancelled_over_grpc() {
    let asks = "errand agent approve --action deploy --target prod\n\
         errand agent input --prompt 'which way?' > way\nerrand agent output \"$(cat way)\"\n";
    let sleeper = TestAgent::shell("echo ready; exec sleep 600").named("sleeper");
    let asker = TestAgent::shell(asks).named("asker");
    let Some(world) = World::new(&[sleeper, asker]) else { return };
    let status = |run_id: &str, is: &str| {
        wait_until(&format!("the run is {is}"), LIMIT, || {
            world.one(&["get", run_id])["status"] == is
        });
    };
    let created = world.one(&["create", "sleeper", "null"]);
    let run_id = created["run_id"].as_str().unwrap();
    status(run_id, "running");
    assert_eq!(world.one(&["pause", run_id])["status"], "paused");
    assert_eq!(world.one(&["resume", run_id])["status"], "running");
    assert_eq!(world.one(&["cancel", run_id])["status"], "cancelled");
    let created = world.one(&["create-asker"]);
    let run_id = created["run_id"].as_str().unwrap();
    status(run_id, "paused");
    let decided = world.one(&["decide", run_id, "yes"]);
    assert_eq!((&decided["run_id"], &decided["approved"]), (&json!(run_id), &json!(true)));
    wait_until("it asks its question", LIMIT, || {
        let record = &world.one(&["get", run_id])["record"];
        record["inputs"].as_array().is_some_and(|inputs| !inputs.is_empty())
    });
    assert_eq!(world.one(&["provide", run_id, "\"left\""])["run_id"], run_id);
    let waited = world.one(&["wait", run_id, "30s"]);
    assert_eq!((&waited["status"], &waited["output"]), (&json!("completed"), &json!("\"left\"")));
    // A client that goes away with `cancel` ends its run.
    let items = world.all(&["create-and-stream", "sleeper", "null", "2", "cancel"]);
    let run_id = items[0]["data"]["run_id"].as_str().map(str::to_owned);
    assert_eq!(run_id, None, "the id is the event's");
    wait_until("all runs are over", LIMIT, || {
        let live = world.server.get("/v1/runs?live=true").expect(200).json();
        live["runs"] == json!([])
    });
    let all = world.server.get("/v1/runs").expect(200).json();
    assert_eq!(all["runs"][0]["status"], "cancelled");
}

#[test]
fn a_refused_grpc_call_has_a_status_a_code_and_the_field() {
    let Some(world) = World::new(&[TestAgent::shell("true").named("quick")]) else { return };
    let created = world.one(&["create", "quick", "null"]);
    let run_id = created["run_id"].as_str().unwrap();
    drop(world.one(&["wait", run_id, "30s"]));
    let refusals = world.one(&["refusals", run_id, "quick"]);
    for (case, status, code) in [
        ("unknown run", "NOT_FOUND", "run_not_found"),
        ("no id", "INVALID_ARGUMENT", "parameter_invalid"),
        ("bad id", "INVALID_ARGUMENT", "parameter_invalid"),
        ("unknown agent", "NOT_FOUND", "agent_not_found"),
        ("no agent", "INVALID_ARGUMENT", "request_invalid"),
        ("bad json", "INVALID_ARGUMENT", "request_malformed"),
        ("bad kind", "INVALID_ARGUMENT", "only_local"),
        ("bad timeout", "INVALID_ARGUMENT", "request_invalid"),
        ("conflict", "ALREADY_EXISTS", "idempotency_conflict"),
        ("stream of unknown", "NOT_FOUND", "run_not_found"),
        ("stream after the end", "INVALID_ARGUMENT", "parameter_invalid"),
        ("not paused", "FAILED_PRECONDITION", "run_not_live"),
    ] {
        let refusal = &refusals[case];
        assert_eq!(
            (&refusal["status"], &refusal["code"]),
            (&json!(status), &json!(code)),
            "{case}"
        );
        assert_ne!(refusal["message"], "", "{case}");
    }
    let pointer = |case: &str| refusals[case]["pointer"].clone();
    assert_eq!(pointer("no agent"), "/agent");
    assert_eq!(pointer("bad json"), "/input");
    assert_eq!(pointer("bad kind"), "/kind");
    assert_eq!(pointer("bad timeout"), "/timeouts/run");
    let runs = world.server.get("/v1/runs").expect(200).json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "what is refused creates nothing");
}

#[test]
fn the_grpc_server_has_reflection_and_health() {
    let Some(world) = World::new(&[]) else { return };
    let reflection = world.one(&["reflection"]);
    let services = reflection["services"].to_string();
    for service in ["errand.v1.Runs", "grpc.health.v1.Health", "grpc.reflection.v1alpha"] {
        assert!(services.contains(service), "{services}");
    }
    assert_eq!(reflection["methods"].as_array().unwrap().len(), 12);
    let watching = world.command(&["health"]).spawn();
    wait_until("the client watches", LIMIT, || watching.stdout().contains("watched"));
    world.server.process().terminate();
    let said = watching.wait().ok().json_lines();
    assert_eq!((&said[0]["server"], &said[0]["runs"]), (&json!("SERVING"), &json!("SERVING")));
    assert_eq!(said[0]["none"]["status"], "NOT_FOUND");
    let watched: Vec<&Value> = said[1..].iter().map(|said| &said["watched"]).collect();
    assert_eq!(watched, ["SERVING", "NOT_SERVING"]);
}

#[test]
fn a_key_allows_over_grpc_what_it_allows_over_rest() {
    let Some(world) = World::new(&[TestAgent::shell("true").named("quick")]) else { return };
    let created = world.one(&["create", "quick", "null"]);
    let run_id = created["run_id"].as_str().unwrap();
    let reader = key(&world.sandbox, "reader", "runs:read", &[]);
    let both = "runs:read,runs:write";
    let stranger = key(&world.sandbox, "stranger", both, &["--namespace", "team-b"]);
    let check = |key: Option<&str>, what: &str, status: &str, code: &str| {
        let mut command = world.command(&["allowed", run_id]);
        if let Some(key) = key {
            command = command.env("KEY", key);
        }
        let all = command.run().ok().json();
        let refusal = &all[what];
        assert_eq!(
            (&refusal["status"], &refusal["code"]),
            (&json!(status), &json!(code)),
            "{what}: {all}"
        );
    };
    wait_until("the server asks for a key", LIMIT, || world.server.get("/v1/runs").status == 401);
    for what in ["get", "list", "stream", "cancel", "create", "create and stream"] {
        check(None, what, "UNAUTHENTICATED", "key_missing");
    }
    for what in ["cancel", "create", "create and stream"] {
        check(Some(&reader), what, "PERMISSION_DENIED", "scope_missing");
    }
    for what in ["get", "stream", "cancel"] {
        check(Some(&stranger), what, "NOT_FOUND", "run_not_found");
    }
    let all = world.command(&["allowed", run_id]).env("KEY", &reader).run().ok().json();
    for what in ["get", "list", "stream"] {
        assert_eq!(all[what], json!({ "status": "OK" }), "{what}");
    }
}
